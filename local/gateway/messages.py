"""Runs the integrations of clients' messages."""

import asyncio
import json
import logging
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from local.gateway.client import new_id
from local.gateway.config import RouteConfig
from local.gateway.connections import BufferFullError, Connection, Connections, GoneError
from local.gateway.events import EventFactory
from local.gateway.functions import FunctionClient, IntegrationError, IntegrationTimeoutError
from local.gateway.routes import RouteSelector
from local.gateway.token_bucket import TokenBucket

logger = logging.getLogger(__name__)


class MessageHandler:
    """Reads the messages of connections and runs their integrations, several at the same time."""

    def __init__(
        self,
        *,
        connections: Connections,
        routes: dict[str, RouteConfig],
        selector: RouteSelector,
        functions: FunctionClient,
        events: EventFactory,
        requests: TokenBucket,
    ) -> None:
        self._connections = connections
        self._routes = routes
        self._selector = selector
        self._functions = functions
        self._events = events
        self._requests = requests
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, socket: ServerConnection) -> None:
        """Read a connection's messages; return when it has closed or must be closed."""
        connection = self._connections.of_socket(socket)
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        with suppress(ConnectionClosed):
            async for message in socket:
                if isinstance(message, bytes):
                    await socket.close(1003, "Unsupported media type")
                    return
                connection.touch()
                # API Gateway invokes for the next message while the last one still runs.
                task = loop.create_task(self._handle(connection, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancel the integrations that still run."""
        for task in self._tasks:
            task.cancel()

    async def _handle(self, connection: Connection, body: str) -> None:
        request_id = new_id()
        answer = await self._answer(connection, body, request_id)
        if answer:
            with suppress(GoneError, BufferFullError):
                connection.send(answer)

    async def _answer(self, connection: Connection, body: str, request_id: str) -> str:
        """Return the text for the client; empty text is not sent."""
        client = connection.client
        if not self._requests.take():
            return _error(client.id, request_id, "Too Many Requests")
        route_key = self._selector.select(body)
        if route_key is None:
            return _error(client.id, request_id, "Forbidden")
        route = self._routes[route_key]
        event = self._events.message(client, route_key=route_key, request_id=request_id, body=body)
        try:
            result = await self._functions.invoke_proxy(route.function, event)
        except IntegrationTimeoutError:
            return _error(client.id, request_id, "Endpoint request timed out")
        except IntegrationError as error:
            logger.warning("%s: %s", route_key, error)
            return _error(client.id, request_id, "Internal server error")
        return result.body if route.route_response else ""


def _error(connection_id: str, request_id: str, message: str) -> str:
    frame = {"message": message, "connectionId": connection_id, "requestId": request_id}
    return json.dumps(frame)
