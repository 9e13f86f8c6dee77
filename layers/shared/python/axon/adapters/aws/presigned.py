"""Presigned URLs of S3: a client without credentials puts one object, as it was announced."""

import hmac
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote, urlsplit

from typing_extensions import override

from axon.adapters.aws.sigv4 import ALGORITHM, Credentials, signing_key, timestamp_of
from axon.payloads import PayloadReference
from axon.uploads import URL_S, SignedUpload, UploadSigner

_SIGNED_HEADERS = "content-length;host;x-amz-checksum-sha256"


class S3UploadSigner(UploadSigner):
    """See `axon.uploads.UploadSigner`: Signature Version 4 in the query, as AWS describes it.

    The length and the checksum are signed headers, so S3 refuses another body: a longer one by the
    signature, one of other bytes by the checksum. Nothing is asked of S3 here.

    Parameters
    ----------
    bucket, endpoint, region : str
        As of `axon.adapters.aws.s3.S3PayloadStore`.
    credentials : Callable[[], Credentials]
        Called for each URL, which permits what they may do. With temporary ones it has their
        session token, which is of no use without their secret, and ends with them.
    clock : Callable[[], float]
        Seconds of the Unix epoch.
    """

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: str,
        region: str,
        credentials: Callable[[], Credentials],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bucket = bucket
        self._origin = endpoint.rstrip("/")
        self._host = urlsplit(endpoint).netloc
        self._region = region
        self._credentials = credentials
        self._clock = clock

    @override
    def sign(self, reference: PayloadReference) -> SignedUpload:
        now, credentials = int(self._clock()), self._credentials()
        timestamp = timestamp_of(now)
        scope = f"{timestamp[:8]}/{self._region}/s3/aws4_request"
        path = f"/{self._bucket}/{quote(reference.key, safe='/~')}"
        headers = {
            "Content-Length": str(reference.size),
            "x-amz-checksum-sha256": b64encode(bytes.fromhex(reference.sha256)).decode(),
        }
        query = _query(credentials, scope=scope, timestamp=timestamp)
        canonical = (
            f"PUT\n{path}\n{query}\ncontent-length:{headers['Content-Length']}\nhost:{self._host}\n"
            f"x-amz-checksum-sha256:{headers['x-amz-checksum-sha256']}\n\n{_SIGNED_HEADERS}\n"
            "UNSIGNED-PAYLOAD"
        )
        digest = sha256(canonical.encode()).hexdigest()
        key = signing_key(
            credentials.secret_key or "", date=timestamp[:8], region=self._region, service="s3"
        )
        to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return SignedUpload(
            url=f"{self._origin}{path}?{query}&X-Amz-Signature={signature}",
            headers=headers,
            expires_at=now + URL_S,
        )


def _query(credentials: Credentials, *, scope: str, timestamp: str) -> str:
    """Return the signed query: its names in the order of their bytes."""
    fields = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(URL_S),
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
        "X-Amz-SignedHeaders": _SIGNED_HEADERS,
    }
    return "&".join(f"{name}={quote(value, safe='~')}" for name, value in fields.items())
