"""One contract for the fake and the HTTP client."""

from collections.abc import AsyncIterator

import pytest
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws.management_api import HttpConnectionsApi
from axon.management_api import ConnectionGoneError, ConnectionsApi, PayloadTooLargeError
from axon.testing.management_api import FakeConnections
from tests.unit.axon.adapters.aws.gateway_stub import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    StrictGateway,
)

KEYS = ReadOnlyCredentials(ACCESS_KEY, SECRET_KEY, None)

Sides = tuple[ConnectionsApi, StrictGateway | FakeConnections]


@pytest.fixture(params=["fake", "http"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[Sides]:
    """The client, and where its messages arrive."""
    if request.param == "fake":
        fake = FakeConnections()
        yield fake, fake
        return
    async with (
        StrictGateway().serve() as gateway,
        HttpConnectionsApi(
            endpoint=gateway.endpoint, region=REGION, credentials=lambda: KEYS
        ) as connections,
    ):
        yield connections, gateway


async def test_connections_api_delivers_messages_in_order(sides: Sides) -> None:
    connections, far = sides
    for number in range(5):
        await connections.post("a=", b"%d" % number)
        await connections.post("b=", b"%d" % -number)
    assert far.posts["a="] == [b"0", b"1", b"2", b"3", b"4"]
    assert far.posts["b="] == [b"0", b"-1", b"-2", b"-3", b"-4"]


async def test_connections_api_finds_no_deleted_connection(sides: Sides) -> None:
    connections, far = sides
    await connections.post("a=", b"1")
    await connections.delete("a=")
    assert far.deleted == ["a="]
    with pytest.raises(ConnectionGoneError):
        await connections.post("a=", b"2")
    with pytest.raises(ConnectionGoneError):
        await connections.delete("a=")
    await connections.post("b=", b"3")
    assert dict(far.posts) == {"a=": [b"1"], "b=": [b"3"]}


async def test_connections_api_posts_at_most_128_kb(sides: Sides) -> None:
    connections, far = sides
    largest = b"x" * 128 * 1024
    await connections.post("a=", largest)
    with pytest.raises(PayloadTooLargeError):
        await connections.post("a=", largest + b"x")
    assert far.posts["a="] == [largest]
