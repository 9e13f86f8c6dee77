"""Routing: the handler of an endpoint, with authentication before it and errors after it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from axon.exceptions import AxonError, RequestError
from axon.serialization import dumps
from axon.tenants.principal import Principal
from axon.tracebacks import describe
from front.context import FrontContext
from front.errors import MESSAGES, OPENAI, ErrorShape, retry_headers
from front.memory import Room
from front.operations.operation import Operation
from front.requests import request_id_of, speaks_anthropic
from front.slow_readers import STALLED_S

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request of a known principal; `room` counts what it takes of the memory."""

    request: web.Request
    principal: Principal
    room: Room


Endpoint = Callable[[Call], Awaitable[web.StreamResponse]]
"""Answers a request. What it raises is answered in the shape of its API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRoute:
    """A route whose requests need no API key.

    Parameters
    ----------
    method, path : str, str
        The HTTP method, and the path with its variables in braces, as aiohttp writes them.
    operation : Operation
        What clients must know of it.
    handler : Handler
        Answers the requests.
    """

    method: str
    path: str
    operation: Operation
    handler: Handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route whose requests need an API key.

    Parameters
    ----------
    method, path : str, str
        As of `OpenRoute`.
    operation : Operation
        What clients must know of it.
    endpoint : Endpoint
        Answers the requests.
    errors : ErrorShape
        The errors of its API.
    opens : bool
        Each request opens a response, and does nothing before (`Authenticator.authenticate`).
    """

    method: str
    path: str
    operation: Operation
    endpoint: Endpoint
    errors: ErrorShape = OPENAI
    opens: bool = False


def add_routes(
    application: web.Application, context: FrontContext, routes: Iterable[Route | OpenRoute]
) -> None:
    """Add routes to an application; there is no other way to one, so each has a description."""
    for route in routes:
        handler = _handler(context, route) if isinstance(route, Route) else route.handler
        application.router.add_route(route.method, route.path, handler)


def _handler(context: FrontContext, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        with context.requests.open(request) as opened:
            try:
                principal = await context.authenticator.authenticate(request, opens=route.opens)
                opened.key_id = principal.key_id
                answer = await _answer(context, route, request, principal)
            except ConnectionResetError:
                return web.Response()  # nobody receives it: the client has left
            except Exception as error:
                log_failure(request, error)
                answer = refusal(request, error, route.errors)
            await _send(request, answer)
            return answer

    return handle


async def _answer(
    context: FrontContext, route: Route, request: web.Request, principal: Principal
) -> web.StreamResponse:
    room = context.bodies.room(principal.tenant_id)
    try:
        return await route.endpoint(Call(request, principal, room))
    finally:
        room.release()


async def _send(request: web.Request, answer: web.StreamResponse) -> None:
    """Send an answer; disconnect a client that does not read it.

    aiohttp would do it after the handler: without a limit, and when the request is no longer
    counted as open. It finds the answer sent.
    """
    try:
        with suppress(ConnectionError):  # the client has left
            async with asyncio.timeout(STALLED_S):
                if request.content.exception() is not None:
                    answer.force_close()  # where the body ends is unknown
                await answer.prepare(request)
                await answer.write_eof()
    except TimeoutError:
        if (transport := request.transport) is not None:
            transport.abort()


def json_answer(value: object) -> web.Response:
    """Return an answer of 200 with a JSON body."""
    return web.Response(body=dumps(value), content_type="application/json")


def refusal(request: web.Request, error: Exception, errors: ErrorShape = OPENAI) -> web.Response:
    """Return the answer to a request that has failed before its answer began.

    A request of Anthropic's API gets an error in that shape, whichever endpoint it asks.
    """
    status, body = (MESSAGES if speaks_anthropic(request) else errors).of(error)
    if "request_id" in body:
        body["request_id"] = request_id_of(request)
    return web.Response(
        body=dumps(body),
        status=status,
        content_type="application/json",
        headers=retry_headers(error),
    )


def log_failure(request: web.Request, error: Exception) -> None:
    """Log an error that is not the client's; of the path only the route, since paths name ids."""
    if isinstance(error, RequestError):
        return
    expected = isinstance(error, AxonError)
    level = logging.WARNING if expected else logging.ERROR
    what = (request_id_of(request), route_of(request), describe(error))
    logger.log(level, "%s, %s: %s", *what, exc_info=not expected)


def route_of(request: web.Request) -> str:
    """Return method and pattern of the request's route, for logs and metrics.

    Methods and paths of requests that have none are the clients' text, of any length and number.
    """
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource else "unknown"
