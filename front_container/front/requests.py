"""Requests: their headers and queries, and how many are being answered."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from axon.exceptions import RequestError
from axon.ids import new_id
from axon.protocol.objects import Json

_CLIENT_REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""Ids of clients that are returned to them; others could break a header or a log line."""
_KEY_CHARACTERS = 255
"""Most characters of an idempotency key (`axon.protocol.requests.IdempotencyKey`)."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")
"""Stand for bytes of a header that are no UTF-8."""
_REQUEST_ID = web.RequestKey("request_id", str)
REVOKE: web.RequestKey[Callable[[], None]] = web.RequestKey("revoke")
"""Ends a request whose key was revoked; without it, the connection is aborted."""


@dataclass(slots=True, eq=False)
class OpenRequest:
    """A request that is being answered.

    Parameters
    ----------
    request : web.Request
        The request.
    key_id : str
        Id of its API key; empty until that is known.
    """

    request: web.Request
    key_id: str = ""

    def disconnect(self) -> None:
        """Close the connection, which also cancels what answers the request."""
        if (revoke := self.request.get(REVOKE)) is not None:
            revoke()
        elif (transport := self.request.transport) is not None:
            transport.abort()


class OpenRequests:
    """The requests that are being answered: a front that ends waits for them.

    Attributes
    ----------
    draining : bool
        True once the front takes no more connections.
    """

    def __init__(self) -> None:
        self.draining = False
        self._open = set[OpenRequest]()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def count(self) -> int:
        """Number of requests that are being answered."""
        return len(self._open)

    @property
    def key_ids(self) -> frozenset[str]:
        """Ids of the API keys of these requests."""
        return frozenset(each.key_id for each in self._open if each.key_id)

    def of(self, key_id: str) -> list[OpenRequest]:
        """Return the requests of a key."""
        return [each for each in self._open if each.key_id == key_id]

    @contextmanager
    def open(self, request: web.Request) -> Iterator[OpenRequest]:
        """Count a request as open while the context is entered."""
        opened = OpenRequest(request)
        self._open.add(opened)
        self._idle.clear()
        try:
            yield opened
        finally:
            self._open.remove(opened)
            if not self._open:
                self._idle.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until none is being answered, at most `timeout_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()


def idempotency_key_of(headers: Mapping[str, str]) -> str:
    """Return the header ``Idempotency-Key``; empty for none.

    Raises
    ------
    RequestError
        It is too long, or no text.
    """
    key = headers.get("Idempotency-Key", "")
    if len(key) > _KEY_CHARACTERS or _SURROGATES.search(key):
        raise RequestError(
            f"Invalid header Idempotency-Key: it must have at most {_KEY_CHARACTERS} characters of "
            "UTF-8.",
            code="invalid_value",
            param="idempotency_key",
        )
    return key


def add_idempotency_key(body: Json, request: web.Request) -> None:
    """Add the header ``Idempotency-Key`` to a request's body, where the WebSocket has it.

    Raises
    ------
    RequestError
        The body has another one.
    """
    if not (key := request.headers.get("Idempotency-Key")):
        return
    if body.get("idempotency_key") not in (None, key):
        raise RequestError(
            "'idempotency_key' is another key than the header Idempotency-Key. Send one of them.",
            code="invalid_value",
            param="idempotency_key",
        )
    body["idempotency_key"] = key


def request_id_of(request: web.Request) -> str:
    """Return the id for ``x-request-id``: the client's own, if it sent a short one, or a new."""
    if (known := request.get(_REQUEST_ID)) is None:
        given = request.headers.get("X-Client-Request-Id", "")
        known = given if _CLIENT_REQUEST_ID.fullmatch(given) else new_id("req")
        request[_REQUEST_ID] = known
    return known


def speaks_anthropic(request: web.Request) -> bool:
    """Return whether a request is one of Anthropic's API: its SDKs always send the version."""
    return "anthropic-version" in request.headers
