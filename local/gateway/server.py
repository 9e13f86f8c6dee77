"""Composition root of the gateway: the port for clients and the management port."""

import asyncio
import logging
from typing import cast

from websockets.asyncio.server import Server, ServerConnection, serve

from local.gateway.authorizer import Authorizer
from local.gateway.config import GatewayConfig
from local.gateway.connections import Connections
from local.gateway.events import EventFactory
from local.gateway.first_request import FirstRequests
from local.gateway.functions import FunctionClient
from local.gateway.lifecycle import Lifecycle
from local.gateway.management import ManagementApi
from local.gateway.messages import MessageHandler
from local.gateway.plain_http import Forwarder, refuse
from local.gateway.routes import RouteSelector
from local.gateway.token_bucket import TokenBucket
from local.http.access import Access
from local.http.client import HttpClient
from local.http.server import HOST, HttpServer

_HANDSHAKE_SLACK_S = 10


class Gateway:
    """One WebSocket API."""

    def __init__(self, *, config: GatewayConfig) -> None:
        self._config = config
        self._client = HttpClient(endpoint=config.lambda_endpoint, token=config.token)
        limits = config.limits
        functions = FunctionClient(
            client=self._client,
            timeout_s=limits.integration_timeout_s,
            retry_s=config.lambda_retry_s,
        )
        events = EventFactory(config=config)
        requests = TokenBucket(rate=limits.requests_per_s, burst=limits.requests_burst)
        connections = Connections()
        self._lifecycle = Lifecycle(
            config=config,
            connections=connections,
            authorizer=Authorizer(config=config, functions=functions, events=events),
            functions=functions,
            events=events,
        )
        self._messages = MessageHandler(
            connections=connections,
            routes=config.routes,
            selector=RouteSelector(
                expression=config.route_selection_expression, routes=config.routes
            ),
            functions=functions,
            events=events,
            requests=requests,
        )
        management = ManagementApi(
            stage=config.stage, connections=connections, requests=requests, limits=limits
        )
        self._management = HttpServer(handler=management.handle, access=Access(token=config.token))
        self._forwarder = (
            None
            if config.front_port is None
            else Forwarder(port=config.front_port, retry_s=config.front_retry_s)
        )
        self._first_requests = FirstRequests(
            limits=limits,
            plain_http=refuse if self._forwarder is None else self._forwarder.forward,
            within_s=self._open_timeout_s,
        )
        self._clients: Server | None = None

    async def start(self) -> tuple[int, int]:
        """Listen; return the port for clients and the management port.

        Raises
        ------
        OSError
            A port is taken.
        """
        management_port = await self._management.start(port=self._config.management_port)
        self._clients = await self._serve_clients()
        port: int = next(iter(self._clients.sockets)).getsockname()[1]
        return port, management_port

    @property
    def _open_timeout_s(self) -> float:
        # A handshake invokes two functions.
        return 2 * self._config.limits.integration_timeout_s + _HANDSHAKE_SLACK_S

    async def _serve_clients(self) -> Server:
        # The library wants a class, and calls it.
        create_connection = cast("type[ServerConnection]", self._first_requests.create_connection)
        return await serve(
            self._messages.receive,
            HOST,
            self._config.port,
            process_request=self._lifecycle.process_request,
            create_connection=create_connection,
            compression=None,
            server_header=None,
            open_timeout=self._open_timeout_s,
            ping_interval=None,
            close_timeout=self._config.close_timeout_s,
            logger=_library_logger(),
            backlog=1024,
        )

    async def stop(self) -> None:
        """Close every connection with 1001 and run their `$disconnect`, within `stop_timeout_s`."""
        if self._clients is None:
            return
        self._clients.close()
        # Waited for no longer: clients that have not sent a request, and plain HTTP.
        self._first_requests.close()
        if self._forwarder is not None:
            self._forwarder.close()
        try:
            async with asyncio.timeout(self._config.stop_timeout_s):
                await self._clients.wait_closed()
                await self._lifecycle.drain()
        except TimeoutError:
            self._lifecycle.cancel()
        self._messages.cancel()
        self._management.close()
        self._client.close()


def _library_logger() -> logging.Logger:
    """Return a silent logger: the library reports each client whose connection breaks."""
    logger = logging.getLogger("local.gateway.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
