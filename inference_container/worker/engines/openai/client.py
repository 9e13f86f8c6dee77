"""HTTP client for the upstream: JSON calls, and streams of events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from axon.serialization import dumps, loads
from worker.engines.openai.errors import StalledError, TransientError, failure
from worker.engines.openai.generation import UpstreamGeneration
from worker.engines.openai.sse import EventReader
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError

Json = dict[str, Any]

_KEEP_ALIVE_S = 15.0
_DONE = b"[DONE]"
"""Data of the last event in OpenAI's streams."""
_BODY_END_TIMEOUT_S = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the upstream that returns a stream; `path` is relative to the upstream's URL."""

    path: str
    body: Json


class UpstreamClient:
    """Connections to one upstream; to be created on a running event loop.

    Attributes
    ----------
    answered_at : float
        Time of the last response, by the loop's clock; minus infinity once it is unreachable.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.answered_at = float("-inf")
        key = upstream.api_key
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=aiohttp.ClientTimeout(connect=upstream.connect_timeout_s),
            skip_auto_headers=("Accept-Encoding",),  # a compressor would hold tokens back
        )

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

    async def events(self, call: Call, generation: UpstreamGeneration) -> AsyncGenerator[Json]:
        """Yield the stream's events until it or the generation ends.

        Raises
        ------
        TransientError
            The connection failed or broke, or the status is 429 or 5xx.
        StalledError
            The first event or a later one did not arrive in time.
        EngineError
            For any other status (`failure`).
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
                            return
                        yield _event(event)
                        limit_s = upstream.token_timeout_s
                        until = loop.time() + limit_s
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
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
                retry_after = response.headers.get("Retry-After")
                raise failure(response.status, body, retry_after=retry_after)
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
            retry_after = response.headers.get("Retry-After")
            raise failure(response.status, answer, retry_after=retry_after)
        self.answered_at = asyncio.get_running_loop().time()
        try:
            return loads(answer)
        except ValueError as error:
            raise EngineError(f"{url} answered no JSON: check AXON_UPSTREAM_URL.") from error


async def _read_body_end(response: aiohttp.ClientResponse, generation: UpstreamGeneration) -> None:
    """Read the end of the body, which follows at once, so that the connection can be reused."""
    with suppress(TimeoutError):
        until = asyncio.get_running_loop().time() + _BODY_END_TIMEOUT_S
        await generation.within(until, response.content.readany())


def _event(data: bytes) -> Json:
    event = loads(data)
    if not isinstance(event, dict):
        raise ValueError("an event is no JSON object")  # noqa: TRY004 - as any that cannot be read
    if error := event.get("error"):
        code = error.get("code") if isinstance(error, dict) else None
        raise failure(code if isinstance(code, int) else 500, data)
    return event


def _unreachable(upstream: Upstream, error: Exception) -> str:
    why = str(error) or type(error).__name__
    return f"The upstream {upstream.url} cannot be reached ({why}): check AXON_UPSTREAM_URL."
