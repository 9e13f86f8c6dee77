"""`@connections` with the AWS client."""

import asyncio
import http.client
import json
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient
from websockets.asyncio.client import ClientConnection

from tests.integration.local.gateway.conftest import (
    GatewayHarness,
    OpenGateway,
    id_of,
    management_client,
)

Management = ApiGatewayManagementApiClient


async def post(management: Management, connection_id: str, data: str | bytes) -> None:
    await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=data)


async def test_posts_arrive_in_order(api: GatewayHarness, management: Management) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        for n in range(50):
            await post(management, connection_id, f"{n} ☃")
        assert [await client.recv() for _ in range(50)] == [f"{n} ☃" for n in range(50)]


async def test_post_above_the_message_limit_is_refused(
    api: GatewayHarness, management: Management
) -> None:
    async with api.connect(max_size=None) as client:
        connection_id = await id_of(client)
        await post(management, connection_id, "x" * 131_072)
        assert len(await client.recv()) == 131_072
        with pytest.raises(management.exceptions.PayloadTooLargeException):
            await post(management, connection_id, "x" * 131_073)


async def test_post_that_is_no_text_is_refused(api: GatewayHarness, management: Management) -> None:
    async with api.connect() as client:
        with pytest.raises(management.exceptions.ClientError, match="BadRequest"):
            await post(management, await id_of(client), b"\xff")


async def test_post_to_a_closed_connection_is_gone(
    api: GatewayHarness, management: Management
) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
    await api.disconnected(connection_id)
    for gone in (connection_id, "nobody="):
        with pytest.raises(management.exceptions.GoneException):
            await post(management, gone, "x")
        with pytest.raises(management.exceptions.GoneException):
            management.get_connection(ConnectionId=gone)
        with pytest.raises(management.exceptions.GoneException):
            management.delete_connection(ConnectionId=gone)


async def test_get_describes_a_connection(api: GatewayHarness, management: Management) -> None:
    async with api.connect(user_agent_header="a client") as client:
        connection_id = await id_of(client)
        first = await asyncio.to_thread(management.get_connection, ConnectionId=connection_id)
        await post(management, connection_id, "x")
        second = await asyncio.to_thread(management.get_connection, ConnectionId=connection_id)
    assert first["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "a client"}
    assert abs(datetime.now(UTC) - first["ConnectedAt"]) < timedelta(minutes=1)
    assert first["ConnectedAt"] <= first["LastActiveAt"] < second["LastActiveAt"]


async def test_delete_disconnects_a_client(api: GatewayHarness, management: Management) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        await asyncio.to_thread(management.delete_connection, ConnectionId=connection_id)
        await asyncio.wait_for(client.wait_closed(), 20)
        assert client.close_code == 1000
        assert await api.disconnected(connection_id) == (1000, "Connection Closed Normally")
        with pytest.raises(management.exceptions.GoneException):
            await post(management, connection_id, "x")


def raw(
    api: GatewayHarness, method: str, path: str, authorization: str = ""
) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", api.management_port)
    connection.request(method, path, b"x", {"Authorization": authorization})
    response = connection.getresponse()
    assert json.loads(response.read())["message"]
    connection.close()
    return response.status, response.headers["x-amzn-ErrorType"]


SCOPE = "AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/{}/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "stage"),
    [
        ("", "responses"),
        ("Bearer x", "responses"),
        (SCOPE.format("sqs"), "responses"),
        (SCOPE.format("execute-api"), "prod"),
    ],
)
async def test_request_without_a_signature_is_forbidden(
    api: GatewayHarness, authorization: str, stage: str
) -> None:
    async with api.connect() as client:
        path = f"/{stage}/@connections/{quote(await id_of(client))}"
        for method in ("POST", "GET", "DELETE"):
            assert raw(api, method, path, authorization) == (403, "ForbiddenException")


async def test_request_path_may_be_encoded(api: GatewayHarness) -> None:
    async with api.connect() as client:
        path = f"/responses/%40connections/{quote(await id_of(client), safe='')}"
        connection = http.client.HTTPConnection("127.0.0.1", api.management_port)
        connection.request("POST", path, b"x", {"Authorization": SCOPE.format("execute-api")})
        assert connection.getresponse().status == 200
        connection.close()
        assert await client.recv() == "x"


async def test_management_requests_are_limited_by_their_rate(open_gateway: OpenGateway) -> None:
    limits = {"requests_per_s": 0.001, "requests_burst": 2}
    async with open_gateway(limits=limits) as api, api.connect() as client:
        connection_id = await id_of(client)
        with management_client(api.management_endpoint) as management:
            await post(management, connection_id, "x")
            with pytest.raises(management.exceptions.LimitExceededException):
                await post(management, connection_id, "x")


def stop_reading(client: ClientConnection) -> None:
    sock: socket.socket = client.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.transport.pause_reading()


async def fill(management: Management, connection_id: str) -> None:
    for _ in range(200):
        await post(management, connection_id, "x" * 131_072)


async def test_slow_client_delays_no_other_and_is_limited(
    api: GatewayHarness, management: Management
) -> None:
    async with api.connect() as slow, api.connect() as client:
        slow_id, other_id = await id_of(slow), await id_of(client)
        stop_reading(slow)
        with pytest.raises(management.exceptions.LimitExceededException):
            await fill(management, slow_id)
        await post(management, other_id, "still here")
        assert await asyncio.wait_for(client.recv(), 20) == "still here"
        slow.transport.abort()
    assert (await api.disconnected(slow_id))[0] == 1006
