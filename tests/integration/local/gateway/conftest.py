import asyncio
import json
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient
from websockets.asyncio.client import ClientConnection, connect

from local.gateway.config import GatewayConfig
from local.gateway.server import Gateway
from tests.integration.local.service_harness import ServiceHarness, running
from tests.support.eventually import wait_until

ALLOW = "Bearer allow"
ROUTES = {
    "$connect": {"function": "connect"},
    "$disconnect": {"function": "disconnect"},
    "$default": {"function": "message", "route_response": True},
    "named": {"function": "message", "route_response": True},
    "quiet": {"function": "message"},
}
# Every function notes its event; what it does then is asked for by the client.
HANDLER = """
    import http.client, json, os, time, urllib.parse

    def note(event):
        with open(os.environ["NOTE"], "a") as file:
            file.write(json.dumps(event) + "\\n")

    def policy(effect, event):
        statement = {"Effect": effect, "Action": "execute-api:Invoke"}
        resource = event["methodArn"] if effect != "Nothing" else "arn:aws:execute-api:*:*:other/*"
        statement |= {"Effect": "Deny" if effect == "Deny" else "Allow", "Resource": resource}
        return {"Version": "2012-10-17", "Statement": [statement]}

    def authorizer(event, context):
        note(event)
        headers = {name.lower(): value for name, value in event["headers"].items()}
        what = headers["authorization"].removeprefix("Bearer ")
        if what == "unauthorized":
            raise Exception("Unauthorized")
        if what == "crash":
            raise ValueError("a fault")
        if what == "nonsense":
            return {"principalId": "user"}
        answer = {"principalId": "user", "policyDocument": policy(what.title(), event)}
        if what == "nested":
            answer |= {"policyDocument": policy("Allow", event), "context": {"a": {"b": 1}}}
        if what == "allow":
            answer["context"] = {"tenant": "acme", "number": 3, "flag": True}
        return answer

    def post(endpoint, connection_id):
        connection = http.client.HTTPConnection(endpoint)
        scope = "AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/execute-api/aws4_request"
        path = "/responses/@connections/" + urllib.parse.quote(connection_id)
        connection.request("POST", path, b"early", {"Authorization": scope})
        return connection.getresponse().status

    def connect(event, context):
        query = event.get("queryStringParameters") or {}
        if "post" in query:
            event["posted"] = post(query["post"], event["requestContext"]["connectionId"])
        note(event)
        if "raise" in query:
            raise ValueError("refused")
        time.sleep(float(query.get("sleep", 0)))
        return {"statusCode": int(query.get("status", 200))}

    def disconnect(event, context):
        note(event)
        return {"statusCode": 200}

    def message(event, context):
        try:
            body = json.loads(event["body"])
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            body = {}
        time.sleep(body.get("sleep", 0))
        if "raise" in body:
            raise ValueError(body["raise"])
        if "return" in body:
            return body["return"]
        return {"statusCode": 200, "body": json.dumps(event)}
"""


@dataclass(frozen=True)
class GatewayHarness:
    """A gateway's addresses, and the events that its functions noted."""

    port: int
    management_port: int
    note: Path

    def connect(
        self, path: str = "/responses", *, authorization: str | None = ALLOW, **options: Any
    ) -> connect:
        headers = {"Authorization": authorization} if authorization else {}
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect(url, additional_headers=headers, ping_interval=None, **options)

    @property
    def management_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.management_port}/responses"

    def noted(self, connection_id: str, kind: str) -> list[dict[str, Any]]:
        """Return a connection's events: CONNECT or DISCONNECT, or AUTHORIZE for the authorizer."""
        return [
            event
            for event in self._events()
            if event["requestContext"]["connectionId"] == connection_id
            and kind == ("AUTHORIZE" if "type" in event else event["requestContext"]["eventType"])
        ]

    def attempts(self) -> int:
        """Return how many events were noted, without those of connections that ended."""
        kinds = [event["requestContext"].get("eventType") for event in self._events()]
        return len(kinds) - kinds.count("DISCONNECT")

    def _events(self) -> list[dict[str, Any]]:
        # The last part is empty, or a line that is still being written.
        *lines, _ = self.note.read_text().split("\n")
        return [json.loads(line) for line in lines]

    async def disconnected(self, connection_id: str) -> tuple[int, str]:
        """Wait for a connection's only $disconnect; return its code and reason."""
        events = await asyncio.to_thread(
            wait_until, lambda: self.noted(connection_id, "DISCONNECT")
        )
        [context] = [event["requestContext"] for event in events]
        return context["disconnectStatusCode"], context["disconnectReason"]


async def ask(client: ClientConnection, **body: Any) -> dict[str, Any]:
    """Send a message and return the frame that answers it."""
    await client.send(json.dumps(body))
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 20))
    return answer


async def id_of(client: ClientConnection) -> str:
    connection_id: str = (await ask(client))["requestContext"]["connectionId"]
    return connection_id


@pytest.fixture(scope="session")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("notes") / "note"
    file.touch()
    return file


@pytest.fixture(scope="session")
def lambda_service(
    note: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceHarness]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "handler.py").write_text(textwrap.dedent(HANDLER))
    functions = {
        name: {
            "folder": str(folder),
            "handler": f"handler.{name}",
            "environment": {"NOTE": str(note)},
            "timeout_s": 20,
            "min_environments": 1,
            "max_environments": 3,
        }
        for name in ("authorizer", "connect", "disconnect", "message")
    }
    config = {"port": 0, "functions": functions}
    with running("local.lambda_service", config, folder / "service") as service:
        yield service


@pytest.fixture(scope="session")
def settings(lambda_service: ServiceHarness) -> dict[str, Any]:
    return {
        "port": 0,
        "management_port": 0,
        "lambda_endpoint": lambda_service.endpoint,
        "authorizer": "authorizer",
        "routes": ROUTES,
    }


@pytest.fixture(scope="session")
def gateway(
    settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceHarness]:
    with running("local.gateway", settings, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def api(gateway: ServiceHarness, note: Path) -> GatewayHarness:
    """The gateway's process, with API Gateway's own limits."""
    return GatewayHarness(gateway.ports[0], gateway.ports[1], note)


OpenGateway = Callable[..., AbstractAsyncContextManager[GatewayHarness]]


@pytest.fixture
def open_gateway(settings: dict[str, Any], note: Path) -> OpenGateway:
    """Open a gateway with other limits in this process."""

    @asynccontextmanager
    async def open_gateway(**changes: Any) -> AsyncIterator[GatewayHarness]:
        config = GatewayConfig.model_validate_json(json.dumps(settings | changes))
        gateway = Gateway(config=config)
        port, management_port = await gateway.start()
        try:
            yield GatewayHarness(port, management_port, note)
        finally:
            await gateway.stop()

    return open_gateway


def management_client(endpoint: str) -> "closing[ApiGatewayManagementApiClient]":
    return closing(
        boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=endpoint,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
    )


@pytest.fixture(scope="session")
def management(api: GatewayHarness) -> Iterator[ApiGatewayManagementApiClient]:
    with management_client(api.management_endpoint) as client:
        yield client
