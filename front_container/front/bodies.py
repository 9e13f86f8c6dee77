"""Bodies of requests: read within limits of size, of time and of this process's memory."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from aiohttp import web

from axon.byte_budget import ByteBudget
from axon.exceptions import RequestError
from axon.protocol.counting import count_values
from axon.protocol.messages import parse_object
from axon.protocol.objects import Json
from axon.uploads import HEADER, Uploads, not_served, too_large
from front.memory import HeldBytes, Room, decoded_bytes

T = TypeVar("T")

BODY_S = 60.0
"""Seconds for a request's body to arrive."""
HELD_BYTES = 64 * 2**20
"""Bytes of requests that one process holds, and as many of messages of sockets; more if these are
fewer than `HELD_BODIES` and `HELD_MESSAGES` of the longest."""
HELD_BODIES, HELD_MESSAGES = 10, 5
MEMORY_BYTES = 256 * 2**20
"""Memory of long bodies that are decoded and not yet accepted."""
INLINE_BYTES = 64 * 1024
"""The longest body that is decoded on the event loop, in 1 ms; what is made of it takes so little
that it is not counted."""
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
    """Reads the bodies of requests, and counts what they take until they are accepted.

    Long ones are decoded in a thread, one after the other, while the event loop writes the answers
    to others; 20 MB delay those by 0.1 s (ADR 26).

    Parameters
    ----------
    max_bytes : int
        The longest body, decompressed.
    held_bytes : int
        Bytes that are held of all bodies together, and of all messages of sockets together.
    memory_bytes : int
        Memory of long bodies that are decoded.
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
        self,
        *,
        max_bytes: int,
        held_bytes: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        uploads: Uploads | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.uploads = uploads
        self.held = _held(held_bytes, max_bytes, HELD_BODIES)
        self.held_of_sockets = _held(held_bytes, max_bytes, HELD_MESSAGES)
        self.decoded = ByteBudget(most=memory_bytes)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bodies")

    def room(self, tenant_id: str) -> Room:
        """Return the count of a new request's memory."""
        return Room(self.held, self.decoded, tenant_id=tenant_id)

    def room_of_socket(self, tenant_id: str) -> Room:
        """Return the count of the memory of a message on a socket."""
        return Room(self.held_of_sockets, self.decoded, tenant_id=tenant_id)

    async def parsed(self, request: web.Request, make: Callable[[Json], T], *, room: Room) -> T:
        """Return what a function makes of a request's body.

        Parameters
        ----------
        request : web.Request
            The request.
        make : Callable[[Json], T]
            Gets the JSON object that the body holds. It may run in a thread.
        room : Room
            Counts the body, and what is made of it.

        Raises
        ------
        RequestError
            No JSON (415 or 400), too large (413), it did not arrive in time (408), too many
            bodies arrive at once (503; 429 if they are the tenant's), the one that the request
            names was not uploaded (404), or the function refuses it.
        UnavailableError
            An uploaded body cannot be read, or too many long bodies are being decoded.
        """
        return await self.decode(await self._content(request, room), make, room=room)

    async def decode(self, body: bytes | bytearray, make: Callable[[Json], T], *, room: Room) -> T:
        """Return what a function makes of a body that has arrived.

        The parameters and errors are those of `parsed`.
        """
        if len(body) <= INLINE_BYTES:
            return make(parse_object(body))
        counted = await self.in_thread(partial(count_values, body))
        await room.hold_decoded(decoded_bytes(body, values=counted.values))
        return await self.in_thread(lambda: make(parse_object(body, counted=counted)))

    async def in_thread(self, make: Callable[[], T]) -> T:
        """Return what a function returns, which works for long on a body."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, make)

    async def _content(self, request: web.Request, room: Room) -> bytes | bytearray:
        if (upload_id := request.headers.get(HEADER)) is not None:
            return await self._read_uploaded(request, upload_id, room)
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
                self._hold(request.content.read_nowait(), body, room)
            else:
                async with asyncio.timeout(BODY_S):
                    await self._receive(request, body, room)
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
        return body

    async def _read_uploaded(self, request: web.Request, upload_id: str, room: Room) -> bytes:
        if request.body_exists:
            raise RequestError(
                f"A request with the header {HEADER} has no body of its own. Send the header, or "
                "the body.",
                code="invalid_value",
                param=HEADER,
            )
        if self.uploads is None:
            raise not_served()
        reference = self.uploads.reference(upload_id, tenant_id=room.tenant_id)
        room.hold(reference.size)
        return await self.uploads.read(reference)

    async def _receive(self, request: web.Request, body: bytearray, room: Room) -> None:
        async for part in request.content.iter_any():
            self._hold(part, body, room)

    def _hold(self, part: bytes, body: bytearray, room: Room) -> None:
        """Add a part of a body, which is counted as held."""
        if len(body) + len(part) > self.max_bytes:
            raise too_large(self.max_bytes)
        # Not by its Content-Length before: clients that send nothing would hold all of it.
        room.hold(len(part))
        body += part


def _held(most: int | None, longest: int, count: int) -> HeldBytes:
    return HeldBytes(most=most or max(HELD_BYTES, count * longest), longest=longest)
