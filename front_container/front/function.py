"""The front as a Lambda function: its application behind a function URL, with streamed answers.

Lambda's Python runtime cannot stream, so this process is the runtime itself (ADR 36): it asks
Lambda's Runtime API for one invocation after the other, and forwards each to the HTTP server that
it runs beside that, on the loopback interface.

Between invocations Lambda freezes the process, for minutes or for good. What a request has started
is done before the next one is asked for. What runs on by itself takes a freeze for a pause: the
subscription connects again, and until then events are read from the log.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from axon.serialization import dumps, loads
from axon.settings import FrontSettings
from front.app import assembled
from front.function_url import STREAM_TYPE, UnexpectedEventError, UrlRequest, answer_prelude

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
STARTS_S = 10.0
"""Seconds in which the server listens: as long as Lambda gives a function for its start."""
LEFT_S = 15.0
"""Seconds before the function's timeout at which an answer is broken off. In them the responses are
cancelled that cannot be resumed (`front.reading.CANCELLING_S`); then Lambda would end the process.
"""
SENDING_S = 5.0
"""Time limit in seconds for reporting that an invocation has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An event, and when Lambda ends its answer: `deadline_s` in seconds since 1970."""

    request_id: str
    event: dict[str, Any]
    deadline_s: float


class RuntimeApi:
    """Lambda's Runtime API (version 2018-06-01, with response streaming).

    Parameters
    ----------
    address : str
        Host and port, as ``AWS_LAMBDA_RUNTIME_API`` has them.
    session : aiohttp.ClientSession
        Without a time limit: an invocation may come in an hour.
    """

    def __init__(self, *, address: str, session: aiohttp.ClientSession) -> None:
        self._url = URL(f"http://{address}/2018-06-01/runtime/invocation/")
        self._session = session

    async def next_invocation(self) -> Invocation:
        """Wait for an invocation. Lambda freezes the process meanwhile."""
        async with self._session.get(self._url / "next", raise_for_status=True) as answer:
            return Invocation(
                request_id=answer.headers["Lambda-Runtime-Aws-Request-Id"],
                event=loads(await answer.read()),
                deadline_s=int(answer.headers["Lambda-Runtime-Deadline-Ms"]) / 1000,
            )

    async def respond(self, invocation: Invocation, stream: AsyncGenerator[bytes, None]) -> None:
        """Send an answer's stream, as it comes.

        What the stream raises breaks it off: the client's answer then has no end, so that it knows.
        """
        headers = {
            "Content-Type": STREAM_TYPE,
            "Lambda-Runtime-Function-Response-Mode": "streaming",
        }
        url = self._url / invocation.request_id / "response"
        async with self._session.post(url, data=stream, headers=headers) as answer:
            answer.raise_for_status()

    async def fail(self, invocation: Invocation, error: Exception) -> None:
        """Report that an invocation has failed. Its client gets 502 if its answer has not begun."""
        kind = type(error).__name__
        body = dumps({"errorType": kind, "errorMessage": str(error)})
        headers = {"Lambda-Runtime-Function-Error-Type": f"Front.{kind}"}
        url = self._url / invocation.request_id / "error"
        # Lambda refuses it for an answer that was broken off, and has seen that by itself.
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(SENDING_S):
                await self._session.post(url, data=body, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFunction:
    """Answers the invocations of a function URL, one after the other.

    Parameters
    ----------
    api : RuntimeApi
        Gives invocations and takes their answers.
    server : URL
        Where the front listens.
    session : aiohttp.ClientSession
        Asks the front; leaves bodies as they are.
    settle : Callable[[], Awaitable[object]]
        Completes what a request has started, in limited time.
    timeout : Callable[[float], asyncio.Timeout]
        Limits an answer to some seconds.
    """

    api: RuntimeApi
    server: URL
    session: aiohttp.ClientSession
    settle: Callable[[], Awaitable[object]]
    timeout: Callable[[float], asyncio.Timeout] = asyncio.timeout

    async def run(self) -> None:
        """Answer invocations for ever."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Answer one invocation."""
        invocation = await self.api.next_invocation()
        left_s = invocation.deadline_s - LEFT_S - time.time()
        try:
            async with self.timeout(left_s):
                await self._answer(invocation)
        except (aiohttp.ClientError, OSError, TimeoutError, UnexpectedEventError) as error:
            logger.warning("invocation %s has failed: %r", invocation.request_id, error)
            await self.api.fail(invocation, error)
        await self.settle()

    async def _answer(self, invocation: Invocation) -> None:
        request = UrlRequest.parse(invocation.event)
        async with self.session.request(
            request.method,
            URL(f"{self.server}{request.target}", encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
        ) as answer:
            await self.api.respond(invocation, _stream(answer))


async def _stream(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    yield answer_prelude(answer.status, answer.headers.items())
    async for part in answer.content.iter_any():
        yield part


async def serve_function(settings: FrontSettings, *, runtime_api: str) -> None:
    """Serve invocations until Lambda ends the process, which it does without a word.

    Parameters
    ----------
    settings : FrontSettings
        `http_port` is that of the loopback interface; the only proxy is this process.
    runtime_api : str
        Host and port of the Runtime API.
    """
    settings = settings.model_copy(update={"trusted_proxies": 1, "http_host": LOOPBACK})
    server = URL.build(scheme="http", host=LOOPBACK, port=settings.http_port)
    async with AsyncExitStack() as stack:
        # Each open stream has an environment of its own: their kept connections would use up the
        # database's, and those of frozen environments cannot be closed.
        front, application = await stack.enter_async_context(
            assembled(settings, keeps_connections=False)
        )
        api_session = await stack.enter_async_context(_session(keeps_connections=True))
        session = await stack.enter_async_context(_session(keeps_connections=False))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        serving = front.run(
            application, host=LOOPBACK, port=settings.http_port, stop=asyncio.Event()
        )
        group.create_task(serving)
        await _listening(settings.http_port)
        await UrlFunction(
            api=RuntimeApi(address=runtime_api, session=api_session),
            server=server,
            session=session,
            settle=front.context.reader.drain,
        ).run()


def _session(*, keeps_connections: bool) -> aiohttp.ClientSession:
    """Return a session without a limit of its own, which adds no header and decodes nothing.

    A connection to the server that is kept during a freeze is closed at its end, just when the next
    request would take it.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None),
        connector=aiohttp.TCPConnector(force_close=not keeps_connections, limit=0),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )


async def _listening(port: int) -> None:
    """Wait until the server takes connections.

    Raises
    ------
    TimeoutError
        It does not in `STARTS_S`.
    """
    async with asyncio.timeout(STARTS_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
