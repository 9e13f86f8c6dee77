"""Bodies of requests: read within limits of size, of time and of this process's memory."""

import asyncio
from collections import Counter

from aiohttp import web

from axon.exceptions import RequestError
from axon.protocol.messages import parse_object
from axon.protocol.objects import Json
from axon.uploads import HEADER, Uploads, not_served, too_large

BODY_S = 60.0
"""Seconds for a request's body to arrive."""
HELD_BYTES = 64 * 2**20
"""Bytes of bodies that one process holds while they arrive, 32 of the longest that it takes; and as
many of messages that arrive on sockets."""
TENANT_SHARE = 4
"""A tenant gets a quarter of what a process has of such room, so that it cannot stop others."""
_JSON_TYPES = ("application/json", "text/json")
_ENCODINGS = ("gzip", "deflate", "identity")
"""Compressions of bodies that every front decodes; brotli and zstd need libraries."""


def unsupported_encoding() -> RequestError:
    """Return the refusal of a body that is compressed in a way that is not served."""
    return RequestError(
        "Unsupported Content-Encoding. Send the body without compression, or with gzip or deflate.",
        code="unsupported_media_type",
        status=415,
    )


class HeldBytes:
    """Counts the bytes that a process holds of what still arrives: of each tenant, and of all.

    Parameters
    ----------
    most : int
        Bytes that are held together.
    longest : int
        Bytes of the longest body: one always fits.

    Attributes
    ----------
    count : int
        Bytes that are held now.
    longest : int
        As above.
    """

    def __init__(self, *, most: int, longest: int) -> None:
        self.count = 0
        self.longest = longest
        self._most = max(longest, most)
        self._most_of_tenant = max(longest, most // TENANT_SHARE)
        self._by_tenant = Counter[str]()

    def hold(self, count: int, *, tenant_id: str) -> None:
        """Count bytes that are held from now on, until `release`.

        Raises
        ------
        RequestError
            Too many are held at once, of the tenant or of all.
        """
        if self._by_tenant[tenant_id] + count > self._most_of_tenant:
            raise RequestError(
                "Too many of your requests arrive at once. Send this one again when others have "
                "arrived.",
                code="rate_limit_exceeded",
                status=429,
            )
        if self.count + count > self._most:
            raise RequestError(
                "Too many requests arrive at once. Send this one again in a moment.",
                code="server_overloaded",
                status=503,
            )
        self._add(count, tenant_id)

    def release(self, count: int, *, tenant_id: str) -> None:
        """Count bytes no longer that were held."""
        self._add(-count, tenant_id)
        if not self._by_tenant[tenant_id]:
            del self._by_tenant[tenant_id]

    def _add(self, count: int, tenant_id: str) -> None:
        self.count += count
        self._by_tenant[tenant_id] += count


class Bodies:
    """Reads the bodies of requests, and counts what it holds of those that still arrive.

    Parameters
    ----------
    max_bytes : int
        The longest body, decompressed.
    held_bytes : int
        Bytes that are held of all bodies together, and of all messages of sockets together.
    uploads : Uploads | None
        Bodies that were uploaded before their requests; None for none.

    Attributes
    ----------
    max_bytes : int
        The longest body.
    uploads : Uploads | None
        As above.
    held : HeldBytes
        What is held of bodies.
    held_of_sockets : HeldBytes
        What is held of the messages of sockets, which are not to take the room of bodies.
    """

    def __init__(
        self, *, max_bytes: int, held_bytes: int = HELD_BYTES, uploads: Uploads | None = None
    ) -> None:
        self.max_bytes = max_bytes
        self.uploads = uploads
        self.held = HeldBytes(most=held_bytes, longest=max_bytes)
        self.held_of_sockets = HeldBytes(most=held_bytes, longest=max_bytes)

    async def read_json(self, request: web.Request, *, tenant_id: str) -> Json:
        """Return the JSON object that a request's body holds.

        Raises
        ------
        RequestError
            No JSON (415 or 400), too long (413), it did not arrive in time (408), too many
            bodies arrive at once (503; 429 if they are the tenant's), or the one that the request
            names was not uploaded (404).
        UnavailableError
            An uploaded body cannot be read.
        """
        if (upload_id := request.headers.get(HEADER)) is not None:
            return await self._read_uploaded(request, upload_id, tenant_id)
        if request.content_type not in _JSON_TYPES:
            raise RequestError(
                f"Unsupported Content-Type: {request.content_type[:64]!a}. Send the request as "
                "JSON, with the header 'Content-Type: application/json'.",
                code="unsupported_media_type",
                status=415,
            )
        if request.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
            raise unsupported_encoding()
        if (request.content_length or 0) > self.max_bytes:
            raise too_large(self.max_bytes)
        body = bytearray()
        try:
            if request.content.is_eof():  # it has come with its headers, as most do
                self._hold(request.content.read_nowait(), body, tenant_id)
            else:
                async with asyncio.timeout(BODY_S):
                    await self._receive(request, body, tenant_id)
            return parse_object(bytes(body))
        except TimeoutError as error:
            raise RequestError(
                f"The request's body did not arrive within {BODY_S:.0f} seconds. Send it again.",
                code="request_timeout",
                status=408,
            ) from error
        except web.RequestPayloadError as error:
            raise RequestError(
                "The request's body cannot be decoded as its headers Content-Encoding and "
                "Transfer-Encoding say. Send it as plain JSON, or compressed as the header says.",
                code="invalid_json",
            ) from error
        finally:
            self.held.release(len(body), tenant_id=tenant_id)

    async def _read_uploaded(self, request: web.Request, upload_id: str, tenant_id: str) -> Json:
        if request.body_exists:
            raise RequestError(
                f"A request with the header {HEADER} has no body of its own. Send the header, or "
                "the body.",
                code="invalid_value",
                param=HEADER,
            )
        if self.uploads is None:
            raise not_served()
        reference = self.uploads.reference(upload_id, tenant_id=tenant_id)
        self.held.hold(reference.size, tenant_id=tenant_id)
        try:
            return parse_object(await self.uploads.read(reference))
        finally:
            self.held.release(reference.size, tenant_id=tenant_id)

    async def _receive(self, request: web.Request, body: bytearray, tenant_id: str) -> None:
        async for part in request.content.iter_any():
            self._hold(part, body, tenant_id)

    def _hold(self, part: bytes, body: bytearray, tenant_id: str) -> None:
        """Add a part of a body, which is counted as held."""
        if len(body) + len(part) > self.max_bytes:
            raise too_large(self.max_bytes)
        # Not by its Content-Length before: clients that send nothing would hold all of it.
        self.held.hold(len(part), tenant_id=tenant_id)
        body += part
