"""Bodies of requests: read within limits of size, of time and of this process's memory."""

import asyncio

from aiohttp import web

from axon.exceptions import RequestError
from axon.protocol.messages import parse_object
from axon.protocol.objects import Json

BODY_S = 60.0
"""Seconds for a request's body to arrive."""
HELD_BYTES = 64 * 2**20
"""Bytes of bodies that one process holds while they arrive: 32 of the longest that it takes."""
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


class Bodies:
    """Reads the bodies of requests, and counts what it holds of those that still arrive.

    Parameters
    ----------
    max_bytes : int
        The longest body, decompressed.
    held_bytes : int
        Bytes that are held of all bodies together; one body always fits.

    Attributes
    ----------
    max_bytes : int
        The longest body.
    held : int
        Bytes that are held now.
    """

    def __init__(self, *, max_bytes: int, held_bytes: int = HELD_BYTES) -> None:
        self.max_bytes = max_bytes
        self.held = 0
        self._most = max(max_bytes, held_bytes)

    async def read_json(self, request: web.Request) -> Json:
        """Return the JSON object that a request's body holds.

        Raises
        ------
        RequestError
            No JSON (415 or 400), too long (413), it did not arrive in time (408), or too many
            bodies arrive at once (503).
        """
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
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                await self._receive(request, body)
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
            self.release(len(body))

    def hold(self, count: int) -> None:
        """Count bytes that are held from now on, until `release`.

        Raises
        ------
        RequestError
            Too many are held at once.
        """
        if self.held + count > self._most:
            raise RequestError(
                "Too many requests arrive at once. Send this one again in a moment.",
                code="server_overloaded",
                status=503,
            )
        self.held += count

    def release(self, count: int) -> None:
        """Count bytes no longer that were held."""
        self.held -= count

    async def _receive(self, request: web.Request, body: bytearray) -> None:
        """Add all parts of a body, which are counted as held."""
        async for part in request.content.iter_any():
            if len(body) + len(part) > self.max_bytes:
                raise self._too_large()
            # Not by its Content-Length before: clients that send nothing would hold all of it.
            self.hold(len(part))
            body += part

    def _too_large(self) -> RequestError:
        return RequestError(
            f"The request's body has more than {self.max_bytes:,} bytes. Shorten the input.",
            code="request_too_large",
            status=413,
        )
