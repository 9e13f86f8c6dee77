"""Clients that do not read, and an endpoint for them."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from front.operations.operation import Operation
from front.routing import Endpoint, Route, add_routes
from front.server import start_server
from tests.unit.front.front_harness import KEY, FrontHarness


@asynccontextmanager
async def served(harness: FrontHarness, endpoint: Endpoint) -> AsyncIterator[int]:
    """Serve an endpoint, over the parts of a front; give its port."""
    application = web.Application()
    operation = Operation(id="test", tag="Tests", summary="Answer", answers={})
    route = Route(method="GET", path="/", operation=operation, endpoint=endpoint)
    add_routes(application, harness.context, [route])
    runner = await start_server(application, host="127.0.0.1", port=0)
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextmanager
def unread(port: int) -> Iterator[socket.socket]:
    """Send a request to the endpoint and read nothing."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        raw.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        yield raw
