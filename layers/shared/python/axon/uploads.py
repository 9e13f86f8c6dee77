"""Uploads: bodies of requests that clients put into the payload store themselves (ADR 38)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from axon.catalog import UPLOADS
from axon.exceptions import LostPayloadError, RequestError
from axon.payloads import PayloadReference, PayloadStore

URL_S = 900
"""Seconds for which a URL takes the body: a slow line sends 20 MB in them (180 kbit/s)."""
BUDGET_BYTES = 2**30
"""Bytes that a tenant may upload at once, and again in each `REFILL_S`. Uploads are gone after a
day or two, so at most 50 GiB of a tenant's are kept."""
REFILL_S = 3600
HEADER = "Axon-Request-Body"
"""Header of a request whose body was uploaded; its value is the upload's id."""
_ID = re.compile(r"body_([0-9a-f]{64})_([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUpload:
    """A permission to put one body: these bytes, at this place, until `expires_at`.

    Parameters
    ----------
    url : str
        Where it is put. It is a secret: who has it may put the body.
    headers : Mapping[str, str]
        Headers that the request must have.
    expires_at : int
        Seconds of the Unix epoch.
    """

    url: str
    headers: Mapping[str, str]
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that a client may make, and the id by which requests then name it."""

    id: str
    signed: SignedUpload


class UploadSigner(Protocol):
    """Makes URLs by which clients put payloads without credentials of their own."""

    def sign(self, reference: PayloadReference) -> SignedUpload:
        """Return the permission to put this payload, and no other, within `URL_S`."""
        ...


class UploadBudget(Protocol):
    """A token bucket of bytes for each tenant: `BUDGET_BYTES`, full again after `REFILL_S`.

    Kept in Valkey; a fake in `axon.testing`.
    """

    async def take(self, tenant_id: str, count: int) -> float:
        """Take `count` bytes; return 0, or the seconds until there are as many and take none."""
        ...


class Uploads:
    """Lets clients upload bodies, and reads them when a request names one.

    It keeps nothing: the id says what the body must be, size and SHA-256, and the place follows
    from it and the tenant. So the same body has one id, and may be put and named again.

    Parameters
    ----------
    store : PayloadStore
        Has the bodies.
    signer : UploadSigner
        Signs the URLs.
    budget : UploadBudget
        Counts what tenants upload.
    max_bytes : int
        The longest body.
    """

    def __init__(
        self, *, store: PayloadStore, signer: UploadSigner, budget: UploadBudget, max_bytes: int
    ) -> None:
        self._store = store
        self._signer = signer
        self._budget = budget
        self._max_bytes = max_bytes

    async def begin(self, *, size: int, sha256: str, tenant_id: str) -> Upload:
        """Return the permission to upload a body.

        Parameters
        ----------
        size : int
            Its bytes.
        sha256 : str
            Its SHA-256, in 64 lower-case hexadecimal digits.
        tenant_id : str
            Whose it is.

        Raises
        ------
        RequestError
            It is too long (413), or the tenant has uploaded too much (429).
        UnavailableError
            The budget cannot be asked.
        """
        if size > self._max_bytes:
            raise too_large(self._max_bytes)
        if wait_s := await self._budget.take(tenant_id, size):
            raise RequestError(
                f"Too many bytes were uploaded lately. Upload this body in {wait_s:.0f} seconds, "
                "or send shorter requests directly.",
                code="rate_limit_exceeded",
                status=429,
            )
        upload_id = f"body_{sha256}_{size}"
        signed = self._signer.sign(self.reference(upload_id, tenant_id=tenant_id))
        return Upload(id=upload_id, signed=signed)

    def reference(self, upload_id: str, *, tenant_id: str) -> PayloadReference:
        """Return the place of an upload, and what must be there.

        Raises
        ------
        RequestError
            It is no id of an upload (404), or of one that is too long (413).
        """
        found = _ID.fullmatch(upload_id)
        if found is None:
            raise _unknown()
        sha256, size = found[1], int(found[2])
        if size > self._max_bytes:
            raise too_large(self._max_bytes)
        # Below the tenant, whose name may have any character: nobody reads another tenant's.
        key = f"{UPLOADS}{quote(tenant_id, safe='')}/{sha256}"
        return PayloadReference(key=key, size=size, sha256=sha256)

    async def read(self, reference: PayloadReference) -> bytes:
        """Return an uploaded body.

        Raises
        ------
        RequestError
            It was not uploaded, is no longer kept, or is another one than its id says (404).
        UnavailableError
            The store is away.
        """
        try:
            return await self._store.get(reference)
        except LostPayloadError as error:
            raise _unknown() from error


def too_large(most: int) -> RequestError:
    """Return the refusal of a body that is too long, wherever it comes from."""
    return RequestError(
        f"The request's body has more than {most:,} bytes. Shorten the input.",
        code="request_too_large",
        status=413,
    )


def not_served() -> RequestError:
    """Return the refusal of a deployment that has no place for uploads."""
    return RequestError(
        "Uploads are not served here: the deployment has no payload bucket (AXON_PAYLOAD_BUCKET). "
        "Send the body with the request.",
        code="unsupported_endpoint",
        status=404,
    )


def _unknown() -> RequestError:
    return RequestError(
        f"No such body was uploaded, or it is no longer kept: it is for a day. Ask for a URL with "
        f"POST /v1/request_bodies, put the body there, then send its id in {HEADER}.",
        code="request_body_not_found",
        param=HEADER,
        status=404,
    )
