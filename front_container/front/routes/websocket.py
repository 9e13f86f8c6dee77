"""The Responses WebSocket: the handshake, and the session that follows it."""

from collections.abc import Sequence

from aiohttp import web

from axon.exceptions import RequestError
from front.context import FrontContext
from front.operations import websocket as described
from front.requests import REVOKE
from front.routing import Call, Route, log_failure
from front.socket.connection import SocketConnection
from front.socket.messages import MessageReader
from front.socket.requests import SocketRequests
from front.socket.session import SocketSession


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the route of the WebSocket."""

    async def connect(call: Call) -> web.StreamResponse:
        return await _serve(context, call)

    return (
        Route(method="GET", path="/v1/responses", operation=described.CONNECT, endpoint=connect),
    )


async def _serve(context: FrontContext, call: Call) -> web.StreamResponse:
    """Complete a handshake, and serve the socket to its end."""
    request = call.request
    _require_upgrade(request)
    cancel_on_disconnect = _setting(request)
    context.sockets.require_room(call.principal.tenant_id)
    connection = SocketConnection(
        request, bodies=context.bodies, tenant_id=call.principal.tenant_id
    )
    session = SocketSession(
        connection=connection,
        read=MessageReader(bodies=context.bodies, tenant_id=call.principal.tenant_id).read,
        requests=SocketRequests(
            service=context.service,
            retrieval=context.retrieval,
            reader=context.reader,
            directory=context.directory,
            principal=call.principal,
            cancel_on_disconnect=cancel_on_disconnect,
        ),
        log_failure=lambda error: log_failure(request, error),
        count=context.sockets.count_message,
    )
    with context.sockets.open(session, tenant_id=call.principal.tenant_id):
        try:
            await connection.open()
            request[REVOKE] = session.revoke
            await session.run()
        finally:
            connection.release()
    return connection.response


def _require_upgrade(request: web.Request) -> None:
    """Refuse a GET that is no handshake.

    Raises
    ------
    RequestError
        Its headers do not ask for a WebSocket.
    """
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        raise RequestError(
            "GET /v1/responses opens a WebSocket: connect with ws:// or wss://. Over HTTP, create "
            "a response with POST /v1/responses, and retrieve one with GET /v1/responses/{id}.",
            code="upgrade_required",
            status=426,
        )


def _setting(request: web.Request) -> bool:
    """Return `cancel_on_disconnect`: the query's, else the header's, else false.

    Raises
    ------
    RequestError
        It is neither true nor false. A setting that was ignored would be noticed only by what a
        disconnect costs.
    """
    parameter = described.CANCEL_ON_DISCONNECT
    default = request.headers.get(described.CANCEL_HEADER.name, parameter.values[0])
    value = request.query.get(parameter.name, default).strip().lower()
    return parameter.of({parameter.name: value}) in ("true", "1")
