"""The ends of connections: each one invokes `$disconnect`."""

import asyncio
import json
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayWebSocketDisconnectEventModel
from websockets.exceptions import ConnectionClosed

from tests.integration.local.gateway.conftest import (
    GatewayHarness,
    OpenGateway,
    ask,
    id_of,
    management_client,
)
from tests.integration.local.gateway.test_management import post
from tests.integration.local.service_harness import refused, running

MODULE = "local.gateway"


async def test_disconnect_event_has_the_fields_of_api_gateway(api: GatewayHarness) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        await client.close(4321, "a reason")
    assert await api.disconnected(connection_id) == (4321, "a reason")
    [event] = api.noted(connection_id, "DISCONNECT")
    APIGatewayWebSocketDisconnectEventModel.model_validate(event)
    assert event["headers"]["Host"] == f"127.0.0.1:{api.port}"
    context = event["requestContext"]
    assert (context["routeKey"], context["eventType"]) == ("$disconnect", "DISCONNECT")
    assert context["authorizer"]["tenant"] == "acme"


async def test_disconnect_event_of_a_close_without_a_code_says_1005(api: GatewayHarness) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        client.transport.write(b"\x88\x80\x00\x00\x00\x00")
        await client.wait_closed()
    ending = await api.disconnected(connection_id)
    assert ending == (1005, "Client-side close frame status not set")


async def test_disconnect_event_of_a_broken_connection_says_1006(api: GatewayHarness) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        client.transport.abort()
    assert await api.disconnected(connection_id) == (1006, "Connection Closed Abnormally")


@pytest.mark.parametrize(("message", "code"), [("x" * 32_769, 1009), (b"binary", 1003)])
async def test_disconnect_event_of_a_refused_message_has_its_close_code(
    api: GatewayHarness, message: str | bytes, code: int
) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        await client.send(message)
        assert (await api.disconnected(connection_id))[0] == code


async def test_gateway_closes_an_idle_connection(open_gateway: OpenGateway) -> None:
    """Messages either way keep it, pings do not."""
    async with open_gateway(limits={"idle_timeout_s": 1}) as api:
        with management_client(api.management_endpoint) as management:
            async with api.connect() as client:
                connection_id = await id_of(client)
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    await asyncio.sleep(0.2)
                    await post(management, connection_id, "x")
                    await client.recv()
                    await asyncio.sleep(0.2)
                    await ask(client)
                alive = time.monotonic()
                with suppress(ConnectionClosed):
                    while time.monotonic() - alive < 20:
                        await client.ping()
                        await asyncio.sleep(0.1)
                assert client.close_code == 1001
                assert 0.9 < time.monotonic() - alive < 5
        assert await api.disconnected(connection_id) == (1001, "Going away")


async def test_gateway_closes_an_old_connection(open_gateway: OpenGateway) -> None:
    async with open_gateway(limits={"connection_duration_s": 0.5}) as api, api.connect() as client:
        connection_id = await id_of(client)
        with suppress(ConnectionClosed):
            while True:
                await ask(client)
                await asyncio.sleep(0.1)
        assert client.close_code == 1001
        assert await api.disconnected(connection_id) == (1001, "Going away")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_gateway_disconnects_all_clients_when_it_stops(
    settings: dict[str, Any], note: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with running(MODULE, settings | {"close_timeout_s": 0.5}, tmp_path) as gateway:
        api = GatewayHarness(gateway.ports[0], gateway.ports[1], note)
        with socket.create_connection(("127.0.0.1", api.port)):
            async with api.connect() as client, api.connect() as stalled:
                ids = [await id_of(client), await id_of(stalled)]
                stalled.transport.pause_reading()
                started = time.monotonic()
                gateway.process.send_signal(number)
                await asyncio.wait_for(client.wait_closed(), 20)
                assert client.close_code == 1001
                assert await asyncio.to_thread(gateway.process.wait, 20) == 0
                assert time.monotonic() - started < 6
                stalled.transport.abort()
        for connection_id in ids:
            assert (await api.disconnected(connection_id))[0] == 1001


def test_gateway_refuses_to_start_with_one_line(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(json.dumps(settings | {"port": port}))
        assert "address already in use" in refused(MODULE, file)
    file.write_text(json.dumps(settings | {"stage": "a/b", "limits": {"frame_bytes": 0}}))
    message = refused(MODULE, file)
    assert "stage: " in message
    assert "limits.frame_bytes: " in message
