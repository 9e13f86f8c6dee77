"""Messages from clients: routes, integrations, sizes."""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayWebSocketMessageEventModel
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.integration.local.gateway.conftest import GatewayHarness, OpenGateway, ask, id_of
from tests.integration.local.service_harness import running


async def test_message_event_has_the_fields_of_api_gateway(api: GatewayHarness) -> None:
    text = json.dumps({"type": "named", "input": "grün ☃"}, ensure_ascii=False)
    async with api.connect() as client:
        await client.send(text)
        event = json.loads(await client.recv())
        again = await ask(client, type="named")
    APIGatewayWebSocketMessageEventModel.model_validate(event)
    assert (event["body"], event["isBase64Encoded"]) == (text, False)
    assert event.keys() == {"requestContext", "body", "isBase64Encoded"}
    context = event["requestContext"]
    assert (context["routeKey"], context["eventType"]) == ("named", "MESSAGE")
    assert context["messageDirection"] == "IN"
    assert context["authorizer"]["tenant"] == "acme"
    assert context["connectedAt"] <= context["requestTimeEpoch"]
    assert again["requestContext"]["messageId"] != context["messageId"]
    assert again["requestContext"]["connectionId"] == context["connectionId"]


@pytest.mark.parametrize(
    ("text", "route_key"),
    [
        ('{"type":"named"}', "named"),
        ('{"type":"other"}', "$default"),
        ('{"type":"$connect"}', "$default"),
        ('{"type":7}', "$default"),
        ("{}", "$default"),
        ('"named"', "$default"),
        ("not json", "$default"),
        ("[" * 20_000, "$default"),
        ("", "$default"),
    ],
)
async def test_message_takes_the_route_that_it_selects(
    api: GatewayHarness, text: str, route_key: str
) -> None:
    async with api.connect() as client:
        await client.send(text)
        assert json.loads(await client.recv())["requestContext"]["routeKey"] == route_key


async def test_message_without_a_route_is_forbidden(open_gateway: OpenGateway) -> None:
    routes = {"named": {"function": "message", "route_response": True}}
    async with open_gateway(routes=routes) as api, api.connect() as client:
        connection_id = (await ask(client, type="named"))["requestContext"]["connectionId"]
        for text in ('{"type":"other"}', "not json"):
            await client.send(text)
            answer = json.loads(await client.recv())
            assert answer.pop("requestId")
            assert answer == {"message": "Forbidden", "connectionId": connection_id}


async def test_message_is_answered_by_route_responses_only(api: GatewayHarness) -> None:
    async with api.connect() as client:
        await client.send('{"type":"quiet"}')
        await client.send('{"return":{"statusCode":200}}')
        await client.send('{"return":{"statusCode":200,"body":""}}')
        await client.send('{"return":{"statusCode":200,"body":"this one"}}')
        assert await asyncio.wait_for(client.recv(), 20) == "this one"


@pytest.mark.parametrize("route", ["quiet", "named"])
@pytest.mark.parametrize(
    "trouble",
    [
        {"raise": "a fault"},
        {"return": None},
        {"return": {"body": "no status"}},
        {"return": {"statusCode": 200, "body": {"not": "text"}}},
    ],
    ids=["raises", "nothing", "no status", "body is no text"],
)
async def test_message_whose_integration_fails_gets_an_error(
    api: GatewayHarness, route: str, trouble: dict[str, Any]
) -> None:
    async with api.connect() as client:
        connection_id = await id_of(client)
        answer = await ask(client, type=route, **trouble)
        assert answer.pop("requestId")
        assert answer == {"message": "Internal server error", "connectionId": connection_id}
        assert await id_of(client) == connection_id


async def test_message_whose_integration_is_slow_gets_a_timeout(open_gateway: OpenGateway) -> None:
    async with open_gateway(limits={"integration_timeout_s": 1}) as api, api.connect() as client:
        connection_id = await id_of(client)
        answer = await ask(client, sleep=2)
        assert answer.pop("requestId")
        assert answer == {"message": "Endpoint request timed out", "connectionId": connection_id}


async def test_messages_of_a_connection_run_concurrently(api: GatewayHarness) -> None:
    async with api.connect() as client:
        await client.send('{"sleep":1,"n":1}')
        await client.send('{"n":2}')
        answers = [json.loads(await client.recv())["body"] for _ in range(2)]
        assert [json.loads(body)["n"] for body in answers] == [2, 1]


async def closed_with(client: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(client.recv(), 20)
    return client.close_code


async def test_frame_of_the_limit_passes_and_one_above_closes(api: GatewayHarness) -> None:
    async with api.connect(max_size=None) as client:
        await client.send("x" * 32_768)
        assert len(json.loads(await client.recv())["body"]) == 32_768
        await client.send("x" * 32_769)
        assert await closed_with(client) == 1009


async def test_message_of_the_limit_passes_and_one_above_closes(api: GatewayHarness) -> None:
    frame = "x" * 32_768
    async with api.connect(max_size=None) as client:
        await client.send([frame] * 4)
        assert len(json.loads(await client.recv())["body"]) == 131_072
        with suppress(ConnectionClosed):
            await client.send([*[frame] * 4, "x"])
        assert await closed_with(client) == 1009


async def test_fragment_above_the_frame_limit_closes(api: GatewayHarness) -> None:
    async with api.connect() as client:
        with suppress(ConnectionClosed):
            await client.send(["x", "x" * 32_769])
        assert await closed_with(client) == 1009


async def test_binary_message_closes_the_connection(api: GatewayHarness) -> None:
    async with api.connect() as client:
        await client.send(b"{}")
        assert await closed_with(client) == 1003


async def test_pings_are_answered(api: GatewayHarness) -> None:
    async with api.connect() as client:
        await asyncio.wait_for(await client.ping(), 20)


async def test_messages_are_limited_by_their_rate(open_gateway: OpenGateway) -> None:
    limits = {"requests_per_s": 0.001, "requests_burst": 1}
    async with open_gateway(limits=limits) as api, api.connect() as client:
        connection_id = await id_of(client)
        answer = await ask(client)
        assert answer.pop("requestId")
        assert answer == {"message": "Too Many Requests", "connectionId": connection_id}


async def test_message_waits_for_a_lambda_service_that_restarts(
    open_gateway: OpenGateway, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Invocations wait for it, but not for ever."""
    function = tmp_path / "handler.py"
    function.write_text("def handler(event, context): return {'statusCode': 200, 'body': '1'}")
    config: dict[str, Any] = {"port": 0, "functions": {"f": {"folder": str(tmp_path)}}}
    with running("local.lambda_service", config, tmp_path / "first") as service:
        config["port"] = service.ports[0]
    changes = {
        "authorizer": None,
        "routes": {"$default": {"function": "f", "route_response": True}},
        "lambda_endpoint": f"http://127.0.0.1:{config['port']}",
    }
    async with open_gateway(**changes) as api, api.connect() as client:
        await client.send("x")
        await asyncio.sleep(0.1)
        with running("local.lambda_service", config, tmp_path / "second"):
            assert await asyncio.wait_for(client.recv(), 20) == "1"
    async with open_gateway(**changes, lambda_retry_s=0.2) as api, api.connect() as client:
        started = time.monotonic()
        assert (await ask(client))["message"] == "Internal server error"
        assert time.monotonic() - started < 3
