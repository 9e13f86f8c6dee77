"""Handlers as Lambda runs them: environment variables, an import, then one event at a time."""

from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from axon.adapters import composition
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.composition import ResponseBackend
from axon.adapters.postgres import pool as postgres
from axon.adapters.postgres.pool import Pool
from axon.adapters.valkey import client as valkey
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory, ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.lambdas import run
from axon.settings import ValkeySettings
from axon.tenants.revocation import KeyState
from tests.support.principals import a_principal

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"
NUMBERS = count()


class Functions:
    """Imports a fresh module of a handler each time, and closes what it opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._clients: list[Valkey | Pool | SqsApi | ResponseBackend] = []
        self._track(valkey, "create_valkey")
        self._track(postgres, "create_pool")
        self._track(composition, "sqs_api")
        self._track(composition, "response_service")

    def load(self, name: str, **variables: str) -> ModuleType:
        """Import a handler under these AXON_ variables."""
        for variable, value in variables.items():
            self._patch.setenv(f"AXON_{variable.upper()}", value)
        path = FUNCTIONS / name / "handler.py"
        spec = spec_from_file_location(f"handler_{next(NUMBERS)}_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def close(self) -> None:
        for client in self._clients:
            run(client.close())

    def _track(self, module: ModuleType, name: str) -> None:
        make: Callable[..., Any] = getattr(module, name)

        def tracked(*arguments: Any, **options: Any) -> Any:
            self._clients.append(make(*arguments, **options))
            return self._clients[-1]

        self._patch.setattr(module, name, tracked)


class FunctionsHarness:
    """The real servers behind the handlers, with one relay and the model "echo"."""

    def __init__(
        self, *, functions: Functions, variables: dict[str, str], sqs: "SQSClient"
    ) -> None:
        self.variables = variables
        self.sqs = sqs
        self.valkey: Valkey = valkey.create_valkey(
            ValkeySettings(valkey_url=variables["valkey_url"])
        )
        self.log = ValkeyEventLog(
            valkey=self.valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60
        )
        self._functions = functions
        run(ValkeyRelayDirectory(valkey=self.valkey).heartbeat("relay", lease_s=600))
        run(ValkeyModelDirectory(valkey=self.valkey).register(("echo",), retention_s=600))
        self._mark_key()

    def load(self, name: str, **changes: str) -> ModuleType:
        return self._functions.load(name, **self.variables | changes)

    def flush(self) -> None:
        """Lose all that Valkey holds."""
        run(self.valkey.call("FLUSHALL"))
        self._mark_key()

    def _mark_key(self) -> None:
        """Mark the key of `websocket_event`, which the database does not have, as looked up."""
        run(self.valkey.call("SET", keys.key_state(a_principal().key_id), KeyState.VALID.value))

    def messages(self, queue: str, *, count: int = 1) -> list[dict[str, Any]]:
        """Take messages out of a queue, as the records of Lambda's event."""
        url = self.variables[f"{queue}_queue_url"]
        records: list[dict[str, Any]] = []
        while len(records) < count:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"],
                WaitTimeSeconds=2,
            )  # fmt: skip
            assert answer.get("Messages"), f"{len(records)} of {count} messages in {queue}"
            for message in answer["Messages"]:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                records.append(sqs_record(message["Body"], message["MessageId"]))
        return records

    def is_empty(self, queue: str) -> bool:
        url = self.variables[f"{queue}_queue_url"]
        return "Messages" not in self.sqs.receive_message(QueueUrl=url)


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    functions = Functions(monkeypatch)
    yield functions
    functions.close()


@pytest.fixture
def harness(
    functions: Functions,
    valkey_url: str,
    app_dsn: str,
    jobs_queue_url: str,
    history_queue_url: str,
    parked_queue_url: str,
    history_dead_queue_url: str,
    sqs_client: "SQSClient",
) -> FunctionsHarness:
    variables = {
        "valkey_url": valkey_url,
        "postgres_dsn": app_dsn,
        "jobs_queue_url": jobs_queue_url,
        "history_queue_url": history_queue_url,
        "parked_queue_url": parked_queue_url,
        "dead_letter_queue_url": history_dead_queue_url,
    }
    return FunctionsHarness(functions=functions, variables=variables, sqs=sqs_client)


def websocket_event(
    body: str | None = None,
    *,
    route: str = "$default",
    connection_id: str = "L0SM9cOFvHcCIhw=",
    tenant_id: str = "t",
    key_id: str = "key_1",
) -> dict[str, Any]:
    """Return the event that API Gateway sends to an integration."""
    kinds = {"$connect": "CONNECT", "$disconnect": "DISCONNECT"}
    event: dict[str, Any] = {
        "requestContext": {
            "routeKey": route,
            "eventType": kinds.get(route, "MESSAGE"),
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "requestTime": "21/Nov/2026:09:23:40 +0000",
            "messageDirection": "IN",
            "stage": "responses",
            "connectedAt": 1_795_252_220_000,
            "requestTimeEpoch": 1_795_252_220_123,
            "identity": {"sourceIp": "127.0.0.1"},
            "requestId": "JKJaXmPLvHcESHA=",
            "domainName": "local.execute-api.us-east-1.amazonaws.com",
            "connectionId": connection_id,
            "apiId": "local",
            "authorizer": {
                "principalId": key_id,
                **a_principal(tenant_id, key_id=key_id).to_context(),
                "integrationLatency": 12,
            },
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = body
        event["requestContext"]["messageId"] = "JKJaXe5KvHcCIhw="
    return event


def sqs_record(body: str, message_id: str) -> dict[str, Any]:
    """Return the record that Lambda makes of a message."""
    return {
        "messageId": message_id,
        "receiptHandle": "receipt",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795252220123"},
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
        "awsRegion": "us-east-1",
    }
