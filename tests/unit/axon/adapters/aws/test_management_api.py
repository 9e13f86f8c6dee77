"""The HTTP client against a strict server, against moto, and beside the AWS SDK."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aiohttp import web
from botocore.credentials import ReadOnlyCredentials
from moto import mock_aws
from moto.apigatewaymanagementapi.models import apigatewaymanagementapi_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_proxy.proxy3 import MotoRequestHandler

from axon.adapters.aws.management_api import HttpConnectionsApi
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApiError,
    PayloadTooLargeError,
    PostThrottledError,
    PostUncertainError,
)
from tests.unit.axon.adapters.aws.gateway_stub import (
    ACCESS_KEY,
    HANG,
    HANG_UP,
    REGION,
    SECRET_KEY,
    StrictGateway,
)

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

ID = "L0SM9cOFvHcCIhw="
KEYS = ReadOnlyCredentials(ACCESS_KEY, SECRET_KEY, None)


def client(
    endpoint: str, *, keys: ReadOnlyCredentials = KEYS, **changes: float
) -> HttpConnectionsApi:
    return HttpConnectionsApi(
        endpoint=endpoint,
        region=REGION,
        credentials=lambda: keys,
        connect_timeout_s=changes.get("connect_timeout_s", 5),
        answer_timeout_s=changes.get("answer_timeout_s", 5),
        pool_size=int(changes.get("pool_size", 8)),
    )


@pytest.fixture
async def gateway() -> AsyncIterator[StrictGateway]:
    async with StrictGateway().serve() as gateway:
        yield gateway
    assert not gateway.faults


@pytest.fixture
async def connections(gateway: StrictGateway) -> AsyncIterator[HttpConnectionsApi]:
    async with client(gateway.endpoint) as connections:
        yield connections


async def test_connections_api_posts_bytes_unchanged(
    gateway: StrictGateway, connections: HttpConnectionsApi
) -> None:
    messages = [b'{"a":1}', "käse \U0001f9c0".encode(), b"\x00\xff", b"x" * 131_072, b""]
    for message in messages:
        await connections.post(ID, message)
    assert gateway.posts == {ID: messages}


@pytest.mark.parametrize("connection_id", [ID, "a/b", "a b", "ü=", "a%2Fb", "a+b&c?d#e"])
async def test_connections_api_signs_for_any_id(
    gateway: StrictGateway, connections: HttpConnectionsApi, connection_id: str
) -> None:
    await connections.post(connection_id, b"1")
    await connections.delete(connection_id)
    assert gateway.posts == {connection_id: [b"1"]}
    assert gateway.deleted == [connection_id]


async def test_connections_api_signs_session_tokens(gateway: StrictGateway) -> None:
    gateway.token = "session-token"
    keys = ReadOnlyCredentials(ACCESS_KEY, SECRET_KEY, gateway.token)
    async with client(gateway.endpoint, keys=keys) as connections:
        await connections.post(ID, b"1")


async def test_connections_api_uses_current_credentials(gateway: StrictGateway) -> None:
    issued = iter([ReadOnlyCredentials(ACCESS_KEY, "old", None), KEYS])
    async with HttpConnectionsApi(
        endpoint=gateway.endpoint, region=REGION, credentials=lambda: next(issued)
    ) as connections:
        with pytest.raises(PostThrottledError, match="403"):
            await connections.post(ID, b"1")
        await connections.post(ID, b"2")
    assert gateway.posts == {ID: [b"2"]}
    assert gateway.faults.pop() == "wrong signature: /responses/@connections/L0SM9cOFvHcCIhw%3D"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (410, ConnectionGoneError),
        (413, PayloadTooLargeError),
        (429, PostThrottledError),
        (403, PostThrottledError),
        (500, PostThrottledError),
        (503, PostThrottledError),
        (400, ConnectionsApiError),
        (302, ConnectionsApiError),
    ],
)
async def test_connections_api_maps_each_refusal_to_its_error(
    gateway: StrictGateway, connections: HttpConnectionsApi, status: int, error: type[Exception]
) -> None:
    gateway.failures[ID].extend([status, status])
    for request in (connections.post(ID, b"1"), connections.delete(ID)):
        with pytest.raises(ConnectionsApiError, match=f"HTTP {status}: refused") as raised:
            await request
        assert raised.type is error
    assert len(gateway.paths) == 2  # none was repeated


@pytest.mark.parametrize("failure", [HANG, HANG_UP])
async def test_connections_api_is_in_doubt_without_an_answer(
    gateway: StrictGateway, failure: str
) -> None:
    gateway.failures[ID].append(failure)
    async with client(gateway.endpoint, answer_timeout_s=0.1) as connections:
        with pytest.raises(PostUncertainError):
            await connections.post(ID, b"1")
        await connections.post(ID, b"2")
    assert gateway.posts == {ID: [b"2"]}


async def test_connections_api_lets_a_post_be_repeated_that_was_never_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client(f"http://127.0.0.1:{taken.getsockname()[1]}/responses") as connections:
            with pytest.raises(PostThrottledError, match="cannot reach"):
                await connections.post(ID, b"1")


async def test_connections_api_lets_a_post_be_repeated_that_got_no_connection(
    gateway: StrictGateway,
) -> None:
    gateway.failures["slow"].append(HANG)
    async with client(gateway.endpoint, pool_size=1, connect_timeout_s=0.1) as connections:
        slow = asyncio.create_task(connections.post("slow", b"1"))
        with pytest.raises(PostThrottledError):
            await asyncio.gather(*(connections.post(ID, b"2") for _ in range(2)))
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_connections_api_keeps_its_connections(
    gateway: StrictGateway, connections: HttpConnectionsApi
) -> None:
    for number in range(20):
        await connections.post(f"{ID}{number % 3}", b"1")
    assert len(gateway.sockets) == 1


async def test_connections_api_sends_what_the_sdk_sends(
    gateway: StrictGateway, connections: HttpConnectionsApi
) -> None:
    await connections.post(ID, b"1")
    sdk = boto3.client("apigatewaymanagementapi", region_name=REGION, endpoint_url=gateway.endpoint)
    sent: list[str] = []

    def record(request: "AWSPreparedRequest", **_: object) -> None:
        sent.append(request.url)

    sdk.meta.events.register("before-send", record)
    await asyncio.to_thread(sdk.post_to_connection, ConnectionId=ID, Data=b"2")
    sdk.close()
    assert sent == [gateway.endpoint.removesuffix("/responses") + gateway.paths[0]]
    assert gateway.paths[0] == gateway.paths[1]
    assert gateway.posts == {ID: [b"1", b"2"]}


@pytest.fixture
async def moto_endpoint() -> AsyncIterator[str]:
    """moto's API behind a socket, under the name that the service has on AWS."""
    handler = MotoRequestHandler(port=0)

    async def answer(request: web.Request) -> web.Response:
        body: Any
        status, headers, body = handler.parse_request(
            request.method,
            f"http://abcdef.execute-api.{REGION}.amazonaws.com",
            request.raw_path,
            dict(request.headers),
            await request.read(),
        )
        return web.Response(status=status, headers=headers, text=body)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    with mock_aws():
        yield f"http://{host}:{port}/responses"
    await runner.cleanup()


async def test_connections_api_is_understood_by_moto(moto_endpoint: str) -> None:
    kept = apigatewaymanagementapi_backends[DEFAULT_ACCOUNT_ID][REGION].connections
    async with client(moto_endpoint) as connections:
        await connections.post(ID, b'{"n":1}')
        await connections.post(ID, b'{"n":2}')
        (connection,) = kept.values()
        assert connection.data == b'{"n":1}{"n":2}'
        await connections.delete(ID)
    assert not kept
