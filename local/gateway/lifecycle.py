"""Opens connections, and runs `$disconnect` exactly once for each one that was opened."""

import asyncio
import logging

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from local.gateway.authorizer import Authorizer, RefusedError
from local.gateway.client import Client, HandshakeRequest, new_id
from local.gateway.config import CONNECT, DISCONNECT, GatewayConfig
from local.gateway.connections import Connection, Connections
from local.gateway.events import EventFactory
from local.gateway.first_request import HEALTH
from local.gateway.functions import FunctionClient, IntegrationError, IntegrationTimeoutError
from local.gateway.sockets import GatewaySocket, json_response, reason_phrase
from local.gateway.token_bucket import TokenBucket
from local.http.access import is_clients_host, is_local_page

logger = logging.getLogger(__name__)

_REASONS = {
    1005: "Client-side close frame status not set",
    1006: "Connection Closed Abnormally",
}
_HOST_RULE = (
    "the Host header must be 127.0.0.1, localhost, [::1] or host.docker.internal, or a name given "
    "to `axon dev --allow-host NAME` (docs/local-cloud.md)."
)
_ORIGIN_RULE = "the Origin header is that of a web page which this machine does not serve."


class Lifecycle:
    """Opens a connection by the authorizer, then `$connect`; runs `$disconnect` when it closes.

    States of a connection: refused (no `$disconnect`), or accepted by `$connect`, then open, then
    closed (`$disconnect` runs). From its acceptance on `_see_off` watches it.
    """

    def __init__(
        self,
        *,
        config: GatewayConfig,
        connections: Connections,
        authorizer: Authorizer,
        functions: FunctionClient,
        events: EventFactory,
    ) -> None:
        self._config = config
        self._connections = connections
        self._authorizer = authorizer
        self._functions = functions
        self._events = events
        self._rate = TokenBucket(
            rate=config.limits.connections_per_s, burst=config.limits.connections_burst
        )
        self._ends: set[asyncio.Task[None]] = set()

    async def process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Answer a GET; return None to let the library complete the handshake."""
        # A page of another site may open a WebSocket here, and knows the well-known key. Browsers
        # let it send no Authorization header; this holds if they ever do.
        if reason := self._foreign(request):
            return json_response(403, {"message": f"Forbidden: {reason}"})
        path = request.path.partition("?")[0]
        if path == HEALTH:
            return json_response(200, {"status": "ok"})
        if path not in self._config.paths:
            return json_response(403, {"message": "Forbidden"})
        # Before the functions run: an invalid handshake must not count as a connection.
        checked = socket.protocol.accept(request)
        if checked.status_code != 101 or not isinstance(socket, GatewaySocket):
            return checked
        try:
            await self._open(socket, request)
        except RefusedError as refusal:
            return json_response(refusal.status, refusal.body)
        return None

    def _foreign(self, request: Request) -> str:
        """Return why a request may come from a page of another site, "" if it cannot."""
        hosts, origins = (request.headers.get_all(name) for name in ("Host", "Origin"))
        allowed = self._config.allowed_hosts
        if not all(is_clients_host(host, allowed=allowed) for host in hosts):
            return _HOST_RULE
        return "" if all(map(is_local_page, origins)) else _ORIGIN_RULE

    async def drain(self) -> None:
        """Wait until the connections have closed and every `$disconnect` has run."""
        while self._ends:
            await asyncio.wait(self._ends)

    def cancel(self) -> None:
        """Cancel what `drain` waits for."""
        for task in self._ends:
            task.cancel()

    async def _open(self, socket: GatewaySocket, request: Request) -> None:
        if not self._rate.take():
            raise RefusedError(429, {"message": "Too Many Requests"})
        address = socket.remote_address or ("",)
        handshake = HandshakeRequest(request.path, tuple(request.headers.raw_items()))
        client = Client(request=handshake, source_ip=address[0])
        client = await self._authorizer.authorize(client)
        await self._connect(client)
        connection = Connection(client=client, socket=socket, limits=self._config.limits)
        self._connections.add(connection)
        # `$connect` has accepted: even if the handshake fails from here on, for instance because
        # the client is gone, `$disconnect` must run, or the function would keep the connection.
        task = asyncio.get_running_loop().create_task(self._see_off(connection))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _connect(self, client: Client) -> None:
        route = self._config.routes.get(CONNECT)
        if route is None:
            return
        try:
            result = await self._functions.invoke_proxy(
                route.function, self._events.connect(client)
            )
        except IntegrationTimeoutError as error:
            raise _refusal(504, "Endpoint request timed out", client) from error
        except IntegrationError as error:
            logger.warning("%s: %s", CONNECT, error)
            raise _refusal(502, "Internal server error", client) from error
        if not 200 <= result.status < 300:
            raise _refusal(result.status, reason_phrase(result.status), client)

    async def _see_off(self, connection: Connection) -> None:
        await connection.socket.wait_closed()
        # First: a post from here on must get 410, even while `$disconnect` still runs.
        self._connections.remove(connection)
        route = self._config.routes.get(DISCONNECT)
        if route is None:
            return
        close = connection.socket.closed_with()
        reason = close.reason or _REASONS.get(close.code, "")
        event = self._events.disconnect(connection.client, code=close.code, reason=reason)
        try:
            await self._functions.invoke(route.function, event)
        except IntegrationError as error:
            logger.warning("%s: %s", DISCONNECT, error)


def _refusal(status: int, message: str, client: Client) -> RefusedError:
    body = {"message": message, "connectionId": client.id, "requestId": new_id()}
    return RefusedError(status, body)
