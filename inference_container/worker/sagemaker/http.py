"""The HTTP interface that SageMaker requires of a real-time endpoint's container.

The contract, from the SageMaker AI Developer Guide, "Custom Inference Code with Hosting Services"
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html), and
"InvokeEndpoint" in the API reference:

- The server listens on 8080, in endpoints of several containers on ``SAGEMAKER_BIND_TO_PORT``,
  and accepts connections within 250 ms.
- ``GET /ping`` is answered within 2 s: with 200 and an empty body where requests can be served.
- ``POST /invocations`` is answered within 60 s, a stream ends within 8 minutes. A body has at most
  25 MB. Where a reply is chunked, `InvokeEndpointWithResponseStream` passes each part on.
- A reply of 4xx or 5xx becomes a `ModelError` with `OriginalStatusCode` and `OriginalMessage`.
- ``X-Amzn-SageMaker-Custom-Attributes`` (up to 1024 ASCII characters) goes through both ways; the
  container has to send back what the caller is to get. Most other headers are removed.
- SIGTERM comes 30 s before SIGKILL.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, suppress

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.exceptions import RequestError, UnavailableError
from axon.protocol.objects import Json
from axon.serialization import dumps, loads
from worker.engines.protocol import Engine
from worker.sagemaker.failure import Failure
from worker.sagemaker.invocation import Invocation
from worker.sagemaker.requests import Accepted, accept
from worker.shutdown import Shutdown

MAX_BYTES = 25 * 1024 * 1024
PING_TIMEOUT_S = 1.5
RETRY_AFTER_S = 5
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"

_CLEANUP_S = 1.0
_FIRST_ANSWER_EVENT = 2
"""Sequence number after those of ``response.created`` and ``response.in_progress``."""


class Endpoint:
    """The server of /ping and /invocations; `running` invocations are in progress.

    Parameters
    ----------
    engine : Engine
        Its health decides about /ping; its models are those that requests may name.
    invoke : Callable[[Accepted], Invocation]
        Returns the invocation of an accepted request, not yet started.
    shutdown : Shutdown
        Once it drains, /ping fails and new invocations are refused.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        invoke: Callable[[Accepted], Invocation],
        shutdown: Shutdown,
    ) -> None:
        self._engine = engine
        self._invoke = invoke
        self._shutdown = shutdown
        self.running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def healthy(self) -> bool:
        """Return within `PING_TIMEOUT_S` whether a request that arrived now could be served."""
        if self._shutdown.draining.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_TIMEOUT_S):
                return await self._engine.health()
        return False

    async def listen(self, *, host: str, port: int) -> web.AppRunner:
        """Start to serve; `cleanup()` of the returned runner ends it."""
        application = web.Application(client_max_size=MAX_BYTES)
        application.router.add_get("/ping", self._ping)
        application.router.add_post("/invocations", self._invocations)
        # A client that closes its connection cancels its handler.
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_CLEANUP_S
        )
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        return runner

    async def wait(self, timeout_s: float) -> None:
        """Wait until no invocation is in progress, for at most `timeout_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if await self.healthy() else 503)

    async def _invocations(self, request: web.Request) -> web.StreamResponse:
        self.running += 1
        self._idle.clear()
        try:
            return await self._answer(request)
        except (RequestError, UnavailableError) as error:
            return _failed(request, Failure.of(error))
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._shutdown.draining.is_set():
            raise UnavailableError("the endpoint ends")
        accepted = accept(await _body(request), models=self._models())
        invocation = self._invoke(accepted)
        async with aclosing(invocation.events()) as events:
            if not accepted.streamed:
                return await _whole(request, invocation, events)
            try:
                return await _stream(request, invocation, events)
            except ConnectionResetError:
                return web.Response()  # the client has disconnected

    def _models(self) -> Collection[str]:
        return {model.id for model in self._engine.info().models}


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestError(
            f"The body has more than {MAX_BYTES} bytes. Shorten the input.",
            code="request_too_large",
            status=413,
        ) from error


async def _whole(
    request: web.Request, invocation: Invocation, events: AsyncGenerator[LoggedEvent, None]
) -> web.Response:
    """Reply with the finished response object."""
    async for event in events:
        last = event
    if failure := invocation.failure:
        return _failed(request, failure)
    response: Json = loads(last.data)["response"]
    return web.Response(
        body=dumps(response), content_type="application/json", headers=_headers(request)
    )


async def _stream(
    request: web.Request, invocation: Invocation, events: AsyncGenerator[LoggedEvent, None]
) -> web.StreamResponse:
    """Reply with server-sent events, the same ones that a WebSocket client gets.

    The events before the answer are held back: a response that fails without having begun an
    answer is an HTTP error with a status of its own, which a reply that has begun cannot have.
    """
    reply: web.StreamResponse | None = None
    waiting = b""
    async for event in events:
        waiting += _sse(event)
        if reply is None:
            # The event decides, not the response's state: that may have failed since.
            if _type(event) == "response.failed" and (failure := invocation.failure):
                return _failed(request, failure)
            if event.sequence_number < _FIRST_ANSWER_EVENT:
                continue
            reply = await _begin(request)
        await reply.write(waiting)
        waiting = b""
    if reply is None:
        raise AssertionError  # every answer has an end
    await reply.write_eof()
    return reply


async def _begin(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    reply = web.StreamResponse(headers=headers | _headers(request))
    await reply.prepare(request)
    return reply


def _sse(event: LoggedEvent) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (_type(event).encode(), event.data)


def _type(event: LoggedEvent) -> str:
    return str(loads(event.data)["type"])


def _failed(request: web.Request, failure: Failure) -> web.Response:
    headers = _headers(request)
    if failure.status == web.HTTPServiceUnavailable.status_code:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(
        body=dumps(failure.wire()),
        status=failure.status,
        content_type="application/json",
        headers=headers,
    )


def _headers(request: web.Request) -> dict[str, str]:
    attributes = request.headers.get(CUSTOM_ATTRIBUTES)
    return {CUSTOM_ATTRIBUTES: attributes} if attributes else {}
