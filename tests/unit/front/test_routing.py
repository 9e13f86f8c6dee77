import socket

import pytest
from aiohttp import web

from front import routing
from front.routing import Call
from tests.support.eventually import eventually
from tests.unit.front.front_harness import FrontHarness
from tests.unit.front.unread_harness import served, unread


async def test_answer_that_nobody_reads_is_open_until_its_client_is_disconnected(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "STALLED_S", 0.1)
    requests = harness.context.requests
    transports = []

    async def endpoint(call: Call) -> web.StreamResponse:
        transports.append(call.request.transport)
        return web.Response(body=bytes(16 * 2**20))  # more than the kernel's buffers

    async with served(harness, endpoint) as port:
        with unread(port):
            await eventually(lambda: requests.count == 1 and transports)
            (transport,) = transports
            assert transport is not None
            # What is left once no handler waits is the kernel's to end.
            connection: socket.socket = transport.get_extra_info("socket")
            kernels_ms = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert kernels_ms == 45_000
            await eventually(lambda: requests.count == 0)
            assert transport.is_closing()
