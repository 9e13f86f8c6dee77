"""Opening a connection: paths, authorizer, $connect."""

import asyncio
import http.client
import json
import re
from contextlib import closing
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayWebSocketConnectEventModel
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.local.gateway.conftest import ALLOW, GatewayHarness, OpenGateway, ask, id_of
from tests.support.eventually import wait_until


async def refusal(
    api: GatewayHarness, path: str = "/responses", *, authorization: str | None = ALLOW
) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        await api.connect(path, authorization=authorization)
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, json.loads(response.body or b"{}")


@pytest.mark.parametrize("path", ["/responses", "/v1/responses", "/v1/responses?model=echo"])
async def test_handshake_succeeds_on_the_paths_of_the_stage(api: GatewayHarness, path: str) -> None:
    async with api.connect(path) as client:
        assert await id_of(client)


@pytest.mark.parametrize("path", ["/", "/prod", "/responses/", "/v2/responses"])
async def test_handshake_on_another_path_is_forbidden(api: GatewayHarness, path: str) -> None:
    assert await refusal(api, path) == (403, {"message": "Forbidden"})


def plain(
    api: GatewayHarness, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port)
    connection.request(method, path, body)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_health_says_that_the_gateway_runs(api: GatewayHarness) -> None:
    status, answer = plain(api, "GET", "/health")
    assert (status, answer["status"]) == (200, "ok")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_plain_http_request_gets_an_error_that_sdks_understand(
    api: GatewayHarness, method: str
) -> None:
    body = b'{"model":"echo"}' * 10_000 if method == "POST" else None
    status, answer = plain(api, method, "/v1/responses", body)
    assert status == 426
    assert answer["error"]["type"] == "invalid_request_error"
    assert "/v1/responses is served over WebSocket only" in answer["error"]["message"]
    assert answer["error"].keys() == {"message", "type", "param", "code"}


def test_malformed_upgrade_invokes_no_function(api: GatewayHarness) -> None:
    before = api.attempts()
    connection = http.client.HTTPConnection("127.0.0.1", api.port)
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Authorization": ALLOW}
    connection.request("GET", "/responses", headers=headers)
    assert connection.getresponse().status == 400
    connection.close()
    assert api.attempts() == before


async def test_handshake_negotiates_no_compression(api: GatewayHarness) -> None:
    async with api.connect() as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_authorizer_is_not_invoked_without_the_identity(api: GatewayHarness) -> None:
    before = api.attempts()
    assert await refusal(api, authorization=None) == (401, {"message": "Unauthorized"})
    assert api.attempts() == before


_DENIED = "User is not authorized to access this resource"


@pytest.mark.parametrize(
    ("token", "status", "body"),
    [
        ("deny", 403, {"Message": f"{_DENIED} with an explicit deny"}),
        ("nothing", 403, {"Message": _DENIED}),
        ("unauthorized", 401, {"message": "Unauthorized"}),
        ("crash", 500, {"message": "Internal server error"}),
        ("nonsense", 500, {"message": "Internal server error"}),
        ("nested", 500, {"message": "Internal server error"}),
    ],
)
async def test_authorizer_refusal_has_the_status_of_api_gateway(
    api: GatewayHarness, token: str, status: int, body: dict[str, Any]
) -> None:
    assert await refusal(api, authorization=f"Bearer {token}") == (status, body)


async def test_authorizer_that_is_slow_is_a_500(open_gateway: OpenGateway) -> None:
    async with open_gateway(authorizer="connect", limits={"integration_timeout_s": 0.2}) as api:
        assert await refusal(api, "/responses?sleep=1") == (
            500,
            {"message": "Internal server error"},
        )


async def test_handshake_succeeds_without_an_authorizer(open_gateway: OpenGateway) -> None:
    async with open_gateway(authorizer=None) as api, api.connect(authorization=None) as client:
        assert "authorizer" not in (await ask(client))["requestContext"]


async def test_authorizer_event_has_the_fields_of_api_gateway(api: GatewayHarness) -> None:
    async with api.connect("/responses?a=1&a=2") as client:
        connection_id = await id_of(client)
    [event] = api.noted(connection_id, "AUTHORIZE")
    assert event["type"] == "REQUEST"
    arn = "arn:aws:execute-api:us-east-1:000000000000:local/responses/$connect"
    assert event["methodArn"] == arn
    assert event["headers"]["Authorization"] == ALLOW
    assert event["headers"]["Upgrade"] == "websocket"
    assert event["multiValueHeaders"]["Authorization"] == [ALLOW]
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    context = event["requestContext"]
    assert (context["routeKey"], context["eventType"]) == ("$connect", "CONNECT")
    assert (context["apiId"], context["stage"]) == ("local", "responses")
    assert context["domainName"] == f"127.0.0.1:{api.port}"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["requestTimeEpoch"] >= context["connectedAt"] > 1_600_000_000_000
    assert "authorizer" not in context


async def test_connect_event_has_the_fields_of_api_gateway(api: GatewayHarness) -> None:
    async with api.connect("/responses?a=1", user_agent_header="a client") as client:
        connection_id = await id_of(client)
    [event] = api.noted(connection_id, "CONNECT")
    APIGatewayWebSocketConnectEventModel.model_validate(event)
    assert event["headers"]["Authorization"] == ALLOW
    assert not {"Connection", "Upgrade"} & event["headers"].keys()
    assert event["queryStringParameters"] == {"a": "1"}
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "a client"}
    assert re.fullmatch(r"[\w-]{15}=", connection_id)
    authorizer = context["authorizer"]
    assert isinstance(authorizer.pop("integrationLatency"), int)
    assert authorizer == {"principalId": "user", "tenant": "acme", "number": "3", "flag": "true"}


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("status=403", 403, "Forbidden"),
        ("status=500", 500, "Internal Server Error"),
        ("status=301", 301, "Moved Permanently"),
        ("status=599", 599, "Unknown"),
        ("status=101", 502, "Internal server error"),
        ("status=999", 502, "Internal server error"),
        ("raise=1", 502, "Internal server error"),
    ],
)
async def test_connect_that_fails_refuses_the_handshake(
    api: GatewayHarness, query: str, status: int, message: str
) -> None:
    found, body = await refusal(api, f"/responses?{query}")
    assert (found, body["message"]) == (status, message)
    assert not api.noted(body["connectionId"], "DISCONNECT")


async def test_connect_that_is_slow_is_a_504(open_gateway: OpenGateway) -> None:
    async with open_gateway(limits={"integration_timeout_s": 0.3}) as api:
        status, body = await refusal(api, "/responses?sleep=1")
        assert (status, body["message"]) == (504, "Endpoint request timed out")


async def test_post_during_connect_is_gone(api: GatewayHarness) -> None:
    async with api.connect(f"/responses?post=127.0.0.1:{api.management_port}") as client:
        [event] = api.noted(await id_of(client), "CONNECT")
        assert event["posted"] == 410


async def test_new_connections_are_limited_by_their_rate(open_gateway: OpenGateway) -> None:
    limits = {"connections_per_s": 0.001, "connections_burst": 2}
    async with open_gateway(limits=limits) as api, api.connect(), api.connect():
        assert await refusal(api) == (429, {"message": "Too Many Requests"})


async def test_client_that_leaves_during_connect_is_disconnected(api: GatewayHarness) -> None:
    before = len(api.note.read_text())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(api.connect("/responses?sleep=1&leaver=1"), 0.5)

    def leaver() -> str:
        lines = api.note.read_text()[before:].splitlines()
        events = [json.loads(line) for line in lines if '"leaver"' in line and '"type"' not in line]
        return events[0]["requestContext"]["connectionId"] if events else ""

    connection_id = await asyncio.to_thread(wait_until, leaver)
    assert await api.disconnected(connection_id) == (1006, "Connection Closed Abnormally")


@pytest.mark.parametrize(
    ("header", "value", "accepted"),
    [
        ("Origin", "https://evil.example", False),
        ("Origin", "null", False),
        ("Origin", "http://127.0.0.1.evil.example", False),
        ("Origin", "http://localhost:3000", True),
        ("Host", "evil.example", False),
        ("Host", "localhost:9000", True),
        ("Host", "host.docker.internal:8000", True),
    ],
)
async def test_handshake_of_a_page_of_another_site_is_forbidden(
    api: GatewayHarness, header: str, value: str, accepted: bool
) -> None:
    """Browsers let any page open a WebSocket to this machine, and the key is well known."""
    before = api.attempts()
    headers = {"Authorization": ALLOW, header: value}
    if header == "Host":
        # The client library adds its own, so that this one is written by hand.
        answer = await asyncio.to_thread(upgraded, api, headers)
    else:
        answer = await status_of(api, headers)
    expected = (101, "") if accepted else (403, f"Forbidden: the {header} header ")
    assert (answer[0], answer[1][: len(expected[1])]) == expected
    assert accepted or api.attempts() == before


async def status_of(api: GatewayHarness, headers: dict[str, str]) -> tuple[int, str]:
    url = f"ws://127.0.0.1:{api.port}/responses"
    try:
        async with connect(url, additional_headers=headers):
            return 101, ""
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body)["message"]


def upgraded(api: GatewayHarness, headers: dict[str, str]) -> tuple[int, str]:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection = http.client.HTTPConnection("127.0.0.1", api.port)
    connection.request("GET", "/responses", headers=headers | handshake)
    with closing(connection):
        answer = connection.getresponse()
        return answer.status, "" if answer.status == 101 else json.load(answer)["message"]
