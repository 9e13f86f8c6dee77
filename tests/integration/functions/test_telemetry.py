"""Telemetry of the functions: counts, and the trace that their messages continue."""

import json
from types import ModuleType
from typing import Any

import pytest

from axon.adapters.aws.sqs_api import SqsApi
from axon.history import HistoryRecord
from tests.integration.functions.conftest import FunctionsHarness, sqs_record, websocket_event
from tests.integration.functions.respond_harness import accepted
from tests.support.embedded_metrics import counted

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def body(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "model": "echo", "input": "hello"} | fields)


@pytest.fixture
def respond(harness: FunctionsHarness) -> ModuleType:
    return harness.load("respond")


class TestRespond:
    def test_counts_each_message(
        self, respond: ModuleType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        unauthorised = websocket_event(body())
        del unauthorised["requestContext"]["authorizer"]
        for event in (
            websocket_event(body()),
            websocket_event(body(generate=False)),
            websocket_event(body(model="gpt-9")),
            websocket_event("{"),
            unauthorised,
        ):
            respond.handler(event, None)
        service = {"service": "respond"}
        assert counted(capsys) == [
            {"accepted": 1} | service,
            {"accepted": 1} | service,
            {"refused": 1, "code": "model_not_found"} | service,
            {"refused": 1, "code": "invalid_json"} | service,
            {"refused": 1, "code": "internal_error"} | service,
        ]

    def test_does_not_count_messages_that_create_no_response(
        self, respond: ModuleType, harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
    ) -> None:
        response_id = accepted(respond, harness)
        cancel = json.dumps({"type": "response.cancel", "response_id": response_id})
        assert len(counted(capsys)) == 1
        assert respond.handler(websocket_event(cancel), None) == {"statusCode": 200}
        harness.load("disconnect").handler(websocket_event(route="$disconnect"), None)
        assert respond.handler(websocket_event(body()), None) == {"statusCode": 200}
        assert counted(capsys) == []

    @pytest.mark.parametrize("header", [TRACE, None])
    def test_sends_its_trace_with_its_messages(
        self, respond: ModuleType, monkeypatch: pytest.MonkeyPatch, header: str | None
    ) -> None:
        """Seen as they are sent: the stand-in loses it."""
        sent: list[dict[str, Any]] = []
        call = SqsApi.call

        async def seen(api: SqsApi, operation: str, **parameters: Any) -> dict[str, Any]:
            sent.extend(parameters.get("Entries", [parameters]))
            return await call(api, operation, **parameters)

        monkeypatch.setattr(SqsApi, "call", seen)
        if header is not None:
            monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        respond.handler(websocket_event(body()), None)
        respond.handler(websocket_event(body(generate=False)), None)
        assert len(sent) == 2
        for message in sent:
            if header is None:
                assert "MessageSystemAttributes" not in message
            else:
                attribute = message["MessageSystemAttributes"]["AWSTraceHeader"]
                assert attribute == {"DataType": "String", "StringValue": header}


def test_write_history_counts_written_records(
    harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        HistoryRecord(
            response_id=f"resp_{number}",
            previous_response_id=None,
            conversation_id="conv_1",
            tenant_id="t",
            version=1,
            created_ms=1,
            ended_ms=2,
            response={"model": "echo", "status": "completed", "usage": None},
            input=[],
        )
        for number in range(2)
    ]
    messages = [sqs_record(r.model_dump_json(), r.response_id) for r in records]
    write_history = harness.load("write_history")
    write_history.handler({"Records": [*messages, sqs_record("poison", "m")]}, None)
    assert {"records_written": 2, "service": "write_history"} in counted(capsys)
