"""The HTTP server: the application with its routes, what every answer has, start and end."""

import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from axon.exceptions import RequestError
from front.access import Access
from front.context import FrontContext
from front.protocol import Runner, name_answer
from front.routes.table import all_routes
from front.routing import add_routes, refusal
from front.slow_readers import STALLED_S

CANCEL_S = 0.5
"""Seconds for handlers to end once they are cancelled; after them their connections are closed."""
_PREFLIGHT_S = 3600
"""Seconds for which a browser may remember what it may send."""


def new_application(context: FrontContext, *, ready: Callable[[], bool]) -> web.Application:
    """Return the application with all routes.

    Parameters
    ----------
    context : FrontContext
        The parts that the routes use.
    ready : Callable[[], bool]
        Returns whether requests that came now could be served.
    """
    access = Access(hosts=context.allowed_hosts, origins=context.cors_origins)
    application = web.Application(
        client_max_size=context.bodies.max_bytes,
        middlewares=[_check_access(access), _answer_for_unknown(access)],
    )
    application.on_response_prepare.append(_complete(context, access))
    add_routes(application, context, all_routes(context, ready=ready))
    return application


async def start_server(
    application: web.Application, *, host: str, port: int, keep_alive_s: float = 75.0
) -> web.AppRunner:
    """Serve an application; `cleanup` of what is returned ends it.

    Parameters
    ----------
    application : web.Application
        What is served.
    host, port : str, int
        The address to listen on.
    keep_alive_s : float
        Seconds for which an unused connection stays open.
    """
    runner = Runner(
        application,
        access_log=None,
        logger=_http_logger(),
        # A client that closes its connection cancels its handler, which may only be waiting.
        handler_cancellation=True,
        shutdown_timeout=CANCEL_S,
        keepalive_timeout=keep_alive_s,
    )
    await runner.setup()
    await web.SockSite(runner, _listening(host, port)).start()
    return runner


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket whose connections end when clients do not read what was written.

    That is for what the kernel and the transports hold after an answer's handler has ended, or for
    a client whose network is gone.
    """
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.create_server(address, family=family)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux alone; accepted sockets inherit it
        timeout_ms = int(STALLED_S * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    return listening


def _http_logger() -> logging.Logger:
    """Return aiohttp's logger without what it says of malformed requests: they are quoted there."""
    # This one quotes subprotocols, in which browsers' clients send their keys.
    logging.getLogger("aiohttp.websocket").filters = [lambda record: not record.args]
    malformed = (HttpProcessingError, web.RequestPayloadError)
    log = logging.getLogger("front.http")
    log.filters = [lambda record: not isinstance(_error_of(record), malformed)]
    return log


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


async def stop_listening(runner: web.AppRunner) -> None:
    """Take no more connections; those that are open get an answer to one more request."""
    # aiohttp's `pre_shutdown` is left to the cleanup: it keeps connections open and drops what they
    # receive, the rest of a request's body or a whole request, whose client gets no answer.
    for site in runner.sites:
        await site.stop()


def _check_access(access: Access) -> Middleware:
    """Return a middleware that refuses the requests of pages which have no access."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            access.check(request.headers)
        except RequestError as error:
            return refusal(request, error)
        return await handler(request)

    return check


def _answer_for_unknown(access: Access) -> Middleware:
    """Return a middleware that answers unknown paths and methods, and browsers' preflights."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is None:
            return await handler(request)
        if request.method == "OPTIONS" and access.allowed_origin(request.headers):
            return web.Response(status=204, headers=_preflight(request))
        return _unknown(request, request.match_info.http_exception)

    return answer


def _unknown(request: web.Request, error: web.HTTPException) -> web.Response:
    """Return 404 or 405."""
    if not isinstance(error, web.HTTPMethodNotAllowed):
        message = f"Unknown URL ({request.method} {request.path[:256]}). See the API reference."
        unknown = RequestError(message, code="unknown_url", status=404)
        return refusal(request, unknown)
    allowed = ", ".join(sorted(error.allowed_methods))
    message = f"{request.method} is not allowed for {request.path[:256]}. Use {allowed}."
    answer = refusal(request, RequestError(message, code="method_not_allowed", status=405))
    answer.headers["Allow"] = allowed
    return answer


def _complete(
    context: FrontContext, access: Access
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what adds the headers that every answer has."""

    async def complete(request: web.Request, answer: web.StreamResponse) -> None:
        name_answer(request, answer)
        if origin := access.allowed_origin(request.headers):
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = (
                "x-request-id, request-id, retry-after"
            )
            answer.headers["Vary"] = "Origin"
        if context.requests.draining:
            answer.force_close()  # the client's next request needs another front
            answer.headers["Connection"] = "close"

    return complete


def _preflight(request: web.Request) -> dict[str, str]:
    # Keys are sent in a header, not in cookies: whatever headers SDKs add are harmless.
    asked = request.headers.get("Access-Control-Request-Headers", "")
    return {
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": asked[:4096],
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
    }
