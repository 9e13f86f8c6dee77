"""HTTP client for the upstream: JSON calls, and streams of events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from axon.serialization import dumps, loads
from worker.engines.openai.errors import (
    NO_END,
    ClosedError,
    StalledError,
    TransientError,
    event_failure,
    failure,
)
from worker.engines.openai.generation import UpstreamGeneration
from worker.engines.openai.resolver import GuardedResolver
from worker.engines.openai.shapes import ShapeError, object_of
from worker.engines.openai.sse import EventReader
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError

Json = dict[str, Any]

_KEEP_ALIVE_S = 15.0
_DONE = b"[DONE]"
"""Data of the last event in OpenAI's streams."""
_BODY_END_TIMEOUT_S = 0.1
_MAX_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the upstream that returns a stream; `path` is relative to the upstream's URL."""

    path: str
    body: Json


NewSession = Callable[[Upstream], aiohttp.ClientSession]
"""Returns the connections to an upstream; called on a running event loop."""


def new_session(upstream: Upstream) -> aiohttp.ClientSession:
    """Return connections over TCP."""
    key = upstream.api_key
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_KEEP_ALIVE_S, resolver=GuardedResolver()
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Content-Type": "application/json"}
        | ({"Authorization": f"Bearer {key}"} if key else {}),
        timeout=aiohttp.ClientTimeout(connect=upstream.connect_timeout_s),
        skip_auto_headers=("Accept-Encoding",),  # a compressor would hold tokens back
    )


class UpstreamClient:
    """Connections to one upstream; to be created on a running event loop.

    Parameters
    ----------
    upstream : Upstream
        The server, with its time limits.
    session : NewSession
        Returns the connections, which the client closes.

    Attributes
    ----------
    answered_at : float
        Time of the last response, by the loop's clock; minus infinity once it is unreachable.
    """

    def __init__(self, upstream: Upstream, *, session: NewSession) -> None:
        self._upstream = upstream
        self.answered_at = float("-inf")
        self._session = session(upstream)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, url: str, *, timeout_s: float) -> Any:
        """Return the JSON of a resource.

        Raises
        ------
        EngineError
            Of any kind: the upstream cannot be reached, refuses, or returns no JSON.
        """
        return await self._json("GET", url, timeout_s=timeout_s)

    async def post(self, url: str, body: Json, *, timeout_s: float) -> Any:
        """Return the JSON that a call returns.

        Raises
        ------
        EngineError
            As `get`.
        """
        return await self._json("POST", url, body, timeout_s=timeout_s)

    async def events(
        self, call: Call, generation: UpstreamGeneration
    ) -> AsyncGenerator[Json | None]:
        """Yield the stream's events until the generation ends; None for `[DONE]`, the last one.

        A stream that ends without `[DONE]` raises: only the reader of its events knows whether the
        answer was complete by then.

        Raises
        ------
        TransientError
            The connection failed or broke, or the status is 429 or 5xx.
        ClosedError
            The close of the connection ended the stream.
        StalledError
            The first event or a later one did not arrive in time.
        EngineError
            For any other status (`failure`).
        ShapeError
            The body is no stream of events, or an event cannot be read, or the upstream ended the
            stream.
        """
        upstream, loop = self._upstream, asyncio.get_running_loop()
        limit_s = upstream.first_token_timeout_s
        until = loop.time() + limit_s
        reader = EventReader()
        try:
            async with self._stream(call, generation, until=until) as response:
                while data := await generation.within(until, response.content.readany()):
                    for event in reader.feed(data):
                        if event == _DONE:
                            await _read_body_end(response, generation)
                            yield None
                            return
                        yield _event(event)
                        limit_s = upstream.token_timeout_s
                        until = loop.time() + limit_s
                if not generation.ended:
                    for last in _rest(reader, response):
                        yield last
        except (aiohttp.ClientError, ConnectionError) as error:
            # The end of the generation closes the stream under the read: no upstream's failure.
            if not generation.ended:
                raise TransientError(f"The upstream's stream broke: {error!r}") from error
        except TimeoutError as error:
            if not generation.ended:
                raise StalledError(f"The upstream sent nothing for {limit_s:g} s.") from error

    @asynccontextmanager
    async def _stream(
        self, call: Call, generation: UpstreamGeneration, *, until: float
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        url = f"{self._upstream.url}/{call.path}"
        request = self._session.post(url, data=dumps(call.body), allow_redirects=False)
        try:
            response = await generation.within(until, request)
        except (aiohttp.ClientError, ConnectionError) as error:
            self.answered_at = float("-inf")
            raise TransientError(_unreachable(self._upstream, error)) from error
        try:
            generation.stream = response
            if response.status != 200:
                body = await generation.within(until, response.read())
                raise failure(response.status, body, headers=response.headers)
            self.answered_at = asyncio.get_running_loop().time()
            yield response
        finally:
            generation.stream = None
            response.close()  # an upstream generates as long as the connection is open

    async def _json(
        self, method: str, url: str, body: Json | None = None, *, timeout_s: float
    ) -> Any:
        data = None if body is None else dumps(body)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, url, data=data, allow_redirects=False) as response,
            ):
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            self.answered_at = float("-inf")
            raise TransientError(_unreachable(self._upstream, error)) from error
        if response.status != 200:
            raise failure(response.status, answer, headers=response.headers)
        self.answered_at = asyncio.get_running_loop().time()
        try:
            return loads(answer)
        except ValueError as error:
            raise EngineError(f"{url} answered no JSON: check AXON_UPSTREAM_URL.") from error


async def _read_body_end(response: aiohttp.ClientResponse, generation: UpstreamGeneration) -> None:
    """Read the end of the body, which follows at once, so that the connection can be reused."""
    # The stream is over: what its connection does afterwards is no failure of the answer.
    with suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
        until = asyncio.get_running_loop().time() + _BODY_END_TIMEOUT_S
        await generation.within(until, response.content.readany())


def _event(data: bytes) -> Json:
    event = object_of(data)
    if (error := event_failure(event, data)) is not None:
        raise error
    return event


def _rest(reader: EventReader, response: aiohttp.ClientResponse) -> Iterator[Json | None]:
    """Yield the event that has no empty line behind it at the end of the body, if there is one.

    Raises
    ------
    ClosedError, ShapeError
        The stream has ended without `[DONE]` (`_unended`).
    """
    data = reader.rest()
    if reader.foreign:
        kind = response.headers.get("Content-Type", "no Content-Type")[:_MAX_CHARACTERS]
        raise ShapeError("the body", f"is no stream of events ({kind})")
    if data == _DONE:
        yield None
        return
    if data is not None and (event := _whole_event(data)) is not None:
        yield event
    raise _unended(response)


def _whole_event(data: bytes) -> Json | None:
    """Return the event, None if the end of the body has cut it."""
    try:
        return _event(data)
    except ShapeError:
        return None


def _unended(response: aiohttp.ClientResponse) -> ClosedError | ShapeError:
    """Return the failure that the end of a body is, for an answer that has not ended before.

    A body that tells where it ends, by chunks (the last one is empty) or by its length, was ended
    by the upstream itself: a crash would have left it incomplete, which `aiohttp` raises. The same
    request would end in the same way, and might pay for another generation and repeat its text.
    """
    headers = response.headers
    if "chunked" in headers.get("Transfer-Encoding", "").lower() or "Content-Length" in headers:
        return ShapeError("the stream", f"ended {NO_END}")
    return ClosedError(f"The connection was closed {NO_END}.")


def _unreachable(upstream: Upstream, error: Exception) -> str:
    why = str(error) or type(error).__name__
    return f"The upstream {upstream.url} cannot be reached ({why}): check AXON_UPSTREAM_URL."
