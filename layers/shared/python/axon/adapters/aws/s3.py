"""S3PayloadStore: payloads as objects of a bucket, which encrypts them and lets them expire."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote

from typing_extensions import override

from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.aws.sigv4 import Credentials
from axon.adapters.closing import AsyncClosing
from axon.adapters.http_client import Answer, HttpError, Limits
from axon.exceptions import LostPayloadError, PermanentRefusalError, UnavailableError
from axon.payloads import PayloadReference, PayloadStore
from axon.retry import RetryPolicy

_CONNECT_S = 2.0
_ANSWER_S = 4.0
_BYTES_PER_S = 4e6
"""Slowest transfer that is waited for: 20 MB have 5 s more than an empty object."""
_CONNECTIONS = 16
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_PASSING = frozenset({"SlowDown", "RequestTimeout", "OperationAborted", "ExpiredToken"})


class _TransientError(Exception):
    """S3 asks to send the request again, or could not serve it for the moment."""


RETRY = RetryPolicy(
    errors=(HttpError, _TransientError),
    max_attempts=3,
    first_pause_s=0.1,
    longest_pause_s=0.4,
)
"""At worst three attempts of 4 s, and of 1 s more for each 4 MB: 12.3 s, 27.3 s for 20 MB."""


class S3PayloadStore(PayloadStore, AsyncClosing):
    """See `axon.payloads.PayloadStore`; opens its connections with the first call.

    The bucket's own settings encrypt what is put (its default key) and let it expire (its lifecycle
    rules); no request names either. Readers must be allowed to list the bucket, too: without
    that, S3 answers 403 in place of 404 for an object that is gone.

    Parameters
    ----------
    bucket : str
        The bucket's name.
    endpoint : str
        Scheme, host and port of S3, whose paths begin with the bucket's name.
    region : str
        The region that requests are signed for.
    credentials : Callable[[], Credentials]
        Called for each request.
    retry : RetryPolicy
        When a request is repeated. Each one may be.
    """

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: str,
        region: str,
        credentials: Callable[[], Credentials],
        retry: RetryPolicy = RETRY,
    ) -> None:
        self._bucket = bucket
        self._retry = retry
        self._client = SignedClient(
            origin=endpoint.rstrip("/"),
            service="s3",
            region=region,
            credentials=credentials,
            pool_size=_CONNECTIONS,
        )

    @override
    async def put(self, reference: PayloadReference, content: bytes) -> None:
        await self._call("PUT", reference.key, content, digest=reference.sha256)

    @override
    async def get(self, reference: PayloadReference) -> bytes:
        answer = await self._call("GET", reference.key, size=reference.size)
        # In a thread, which does it without the interpreter's lock: of 20 MB it takes 10 to 60 ms.
        if answer.status != 200 or not await asyncio.to_thread(reference.matches, answer.body):
            raise LostPayloadError(f"payload {reference.key} is not kept")
        return answer.body

    @override
    async def delete(self, key: str) -> None:
        await self._call("DELETE", key)

    @override
    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(
        self, method: str, key: str, body: bytes = b"", *, digest: str | None = None, size: int = 0
    ) -> Answer:
        """Return S3's answer: a success, or 404 for a key that it does not have.

        `size` is that of the answer's body, where it is known to be long.
        """
        answer_s = _ANSWER_S + (len(body) + size) / _BYTES_PER_S
        limits = Limits(connect_s=_CONNECT_S, answer_s=answer_s)
        path = f"/{self._bucket}/{quote(key, safe='/')}"

        async def attempt() -> Answer:
            answer = await self._client.request(method, path, body, limits=limits, digest=digest)
            return _checked(method, answer)

        try:
            return await self._retry.run(attempt)
        except self._retry.errors as error:
            raise UnavailableError(f"S3 {method}: {error!r}") from error


def _checked(method: str, answer: Answer) -> Answer:
    """Return a successful answer, or one that says that the object is gone.

    Raises
    ------
    PermanentRefusalError
        S3 refuses, and would refuse a repetition.
    _TransientError
        It refuses for the moment, or fails.
    """
    found = _CODE.search(answer.body[:1000])
    code = found[1].decode() if found else ""
    # A bucket that does not exist is a fault of the settings, not of the object.
    gone = answer.status == 404 and code != "NoSuchBucket"
    if answer.status in (200, 204) or gone:
        return answer
    message = f"S3 {method}: HTTP {answer.status} {code}"
    # Without a code it is not S3 that refuses but something on the way there.
    if 400 <= answer.status < 500 and code and code not in _PASSING:
        raise PermanentRefusalError(message)
    raise _TransientError(message)
