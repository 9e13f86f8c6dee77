import asyncio
import logging
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from axon.event_log.attendance import leaving_window_s
from axon.event_log.log import Status
from axon.exceptions import RequestError
from axon.serialization import loads
from front.socket.sockets import OpenSockets
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import BUSY_KEY, MAX_SOCKETS, FrontHarness
from tests.unit.front.socket.socket_harness import SocketHarness

PATH = "/v1/responses"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
CREATE = {"type": "response.create", "model": MODEL, "input": "hello"}


@pytest.mark.parametrize(
    ("headers", "query", "status", "code"),
    [
        ({"Authorization": ""}, "", 401, "invalid_api_key"),
        ({"Authorization": "Bearer sk-wrong"}, "", 401, "invalid_api_key"),
        ({"Authorization": f"Bearer {BUSY_KEY}"}, "", 429, "rate_limit_exceeded"),
        ({"Upgrade": "h2c"}, "", 426, "upgrade_required"),
        ({"Sec-WebSocket-Version": "12"}, "", 400, "invalid_handshake"),
        ({"Sec-WebSocket-Key": "short"}, "", 400, "invalid_handshake"),
        ({}, "?cancel_on_disconnect=perhaps", 400, "invalid_value"),
        ({"Axon-Cancel-On-Disconnect": "perhaps"}, "", 400, "invalid_value"),
    ],
)
async def test_websocket_handshake_is_refused_with_a_status(
    harness: FrontHarness, headers: dict[str, str], query: str, status: int, code: str
) -> None:
    async with harness.client.get(PATH + query, headers=UPGRADE | headers) as answer:
        assert (await harness.error(answer))[:2] == (status, code)
    assert not harness.context.sockets.count


async def test_websocket_carries_a_request_and_its_answer(harness: FrontHarness) -> None:
    async with harness.client.ws_connect(PATH, compress=15) as socket:
        assert socket.compress == 0
        assert harness.context.sockets.count == 1
        await socket.send_json(CREATE | {"stream_id": "s"})
        response_id = await harness.submitted()
        await harness.responses.answer(response_id, "Hel", "lo")
        logged = await harness.responses.valkey.read(response_id)
        assert [(await socket.receive_str()).encode() for _ in logged] == [
            event.data for event in logged
        ]
        assert not harness.reader.attended
    await eventually(lambda: not harness.context.requests.count)
    assert not harness.context.sockets.count


async def test_websocket_client_that_vanishes_is_noticed_at_once(harness: FrontHarness) -> None:
    url = f"{PATH}?cancel_on_disconnect=true"
    async with harness.client.ws_connect(url) as socket:
        await socket.send_json(CREATE)
        response_id = await harness.submitted()
        await socket.receive()
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
    await eventually(lambda: not harness.context.requests.count)
    await harness.reader.drain()
    harness.responses.now += leaving_window_s()
    assert await harness.responses.valkey.abandoned() == [response_id]


async def test_websocket_of_a_revoked_key_is_closed_with_an_error(harness: FrontHarness) -> None:
    async with harness.client.ws_connect(PATH) as socket:
        (opened,) = harness.context.requests.of(a_principal().key_id)
        opened.disconnect()
        assert loads(await socket.receive_str())["error"]["code"] == "invalid_api_key"
        assert (await socket.receive()).data == 1008


async def test_websockets_are_bounded_and_leave_with_their_front(harness: FrontHarness) -> None:
    async def refused() -> str:
        async with harness.client.get(PATH, headers=UPGRADE) as answer:
            assert answer.headers["Retry-After"]
            return (await harness.error(answer))[1]

    idle = [await harness.client.ws_connect(PATH) for _ in range(MAX_SOCKETS)]
    assert await refused() == "rate_limit_exceeded"
    await idle[0].send_json(CREATE)
    response_id = await harness.submitted()
    sockets = harness.context.sockets
    sockets.leave()
    assert [(await socket.receive()).data for socket in idle[1:]] == [1012] * (MAX_SOCKETS - 1)
    assert await refused() == "server_overloaded"
    closing = asyncio.create_task(sockets.close())
    assert loads(await idle[0].receive_str())["type"] == "response.created"
    assert (await idle[0].receive()).data == 1012
    await closing
    assert not sockets.count
    assert await harness.responses.status(response_id) is Status.QUEUED


def test_open_sockets_leave_room_for_other_tenants() -> None:
    sockets = OpenSockets(most=4)

    def code(tenant_id: str) -> str | None:
        try:
            sockets.require_room(tenant_id)
        except RequestError as error:
            return error.code
        return None

    with ExitStack() as stack:
        for tenant_id in "abcd":
            assert code(tenant_id) is None
            session = SocketHarness().session
            stack.enter_context(sockets.open(session, tenant_id=tenant_id))
            assert code(tenant_id) == "rate_limit_exceeded"
        assert code("e") == "server_overloaded"
    assert code("a") is None


async def test_websocket_logs_nothing_that_a_client_writes(
    harness: FrontHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary-4711"
    messages: list[Any] = [
        canary,
        f'{{"type":"{canary}","stream_id":"{canary}"}}',
        f'{{"type":"response.create","model":"{canary}","input":"{canary}"}}',
        f'{{"type":"response.resume","response_id":"{canary}"}}',
    ]
    async with harness.client.ws_connect(
        f"{PATH}?{canary}={canary}", protocols=(canary,), headers={"X-Other": canary}
    ) as socket:
        for message in messages:
            await socket.send_str(message)
            assert loads(await socket.receive_str())["type"] == "error"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await harness.client.ws_connect(PATH, headers={"Authorization": f"Bearer {canary}"})
    own = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert not [message for message in own if canary in message]
