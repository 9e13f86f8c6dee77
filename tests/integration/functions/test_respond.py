import json
from types import ModuleType

import pytest

from axon.adapters.aws.ecs_scaler import EcsWorkerScaler
from axon.event_log.log import Status
from axon.ids import new_id
from axon.jobs import Job
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness, websocket_event
from tests.integration.functions.respond_harness import (
    CONNECTION,
    accepted,
    body,
    described,
    refused,
)
from tests.support.principals import a_principal
from tests.support.sdk_events import validate, validate_stream


@pytest.fixture
def respond(harness: FunctionsHarness) -> ModuleType:
    return harness.load("respond")


TOOLS = [
    {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
]
WRONG = [
    (None, "invalid_json", None),
    ("", "invalid_json", None),
    ("{", "invalid_json", None),
    ("[1]", "invalid_json", None),
    ("{}", "missing_required_parameter", "type"),
    ('{"type": "session.update"}', "unknown_event_type", "type"),
    ('{"type": "response.create"}', "missing_required_parameter", "model"),
    (body(model="x" * 257), "string_above_max_length", "model"),
    (body(temperature="hot"), "invalid_value", "temperature"),
    (body(tool_choice="required"), "invalid_value", "tool_choice"),
    (body(tool_choice="required", tools=TOOLS), "unsupported_parameter", "tool_choice"),
    (body(input=[{"role": "user"}]), "missing_required_parameter", "input.0.content"),
    (body(previous_response_id=new_id("resp")), "previous_response_not_found",
     "previous_response_id"),
    (body(previous_response_id="resp_\x00"), "previous_response_not_found",
     "previous_response_id"),
    (body(input=[{"type": "function_call_output", "call_id": "c", "output": "4"}]),
     "tool_call_not_found", "input"),
]  # fmt: skip
"""Messages, and the code and the param of the error that each meets."""


class TestRespondCreate:
    def test_logs_event_0_and_queues_the_job(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness, input="wörld 🌍", stream_id="s")
        (created,) = run(harness.log.read(response_id))
        event = validate(created.data)
        assert event["type"] == "response.created"
        assert event["stream_id"] == "s"
        (message,) = harness.messages("jobs")
        job = Job.decode(message["body"])
        assert job.response_id == response_id
        assert job.input[0]["content"] == "wörld 🌍"
        assert (job.tenant_id, job.connection_id) == ("t", CONNECTION)
        assert job.principal == a_principal()
        meta = described(harness, response_id)
        assert (meta.tenant_id, meta.key_id) == ("t", "key_1")

    def test_resolves_an_alias_to_a_registered_model(self, harness: FunctionsHarness) -> None:
        respond = harness.load("respond", model_aliases='{"default": {"unloaded": 99, "echo": 1}}')
        response_id = accepted(respond, harness, model="default")
        (created,) = run(harness.log.read(response_id))
        assert validate(created.data)["response"]["model"] == "echo"
        assert Job.decode(harness.messages("jobs")[0]["body"]).model == "echo"

    def test_answers_a_warm_up_at_once(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        event = websocket_event(body(generate=False))
        assert respond.handler(event, None) == {"statusCode": 200}
        (message,) = harness.messages("history")
        response_id = json.loads(message["body"])["response_id"]
        decoded = validate_stream(run(harness.log.read(response_id)))
        assert decoded[-1]["type"] == "response.completed"
        assert harness.is_empty("jobs")

    def test_continues_a_conversation_from_valkey(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        respond.handler(websocket_event(body(generate=False)), None)
        (message,) = harness.messages("history")
        first = json.loads(message["body"])
        accepted(respond, harness, previous_response_id=first["response_id"])
        (message,) = harness.messages("jobs")
        assert Job.decode(message["body"]).conversation_id == first["conversation_id"]

    def test_continues_a_conversation_that_valkey_has_lost(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        respond.handler(websocket_event(body(generate=False)), None)
        records = harness.messages("history")
        failures = harness.load("write_history").handler({"Records": records}, None)
        assert failures == {"batchItemFailures": []}
        run(
            harness.valkey.call("DEL", f"axon:turn:{json.loads(records[0]['body'])['response_id']}")
        )
        previous = json.loads(records[0]["body"])["response_id"]
        accepted(respond, harness, previous_response_id=previous)
        (message,) = harness.messages("jobs")
        assert Job.decode(message["body"]).previous_response_id == previous

    def test_says_503_while_the_history_is_behind(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        """A turn is kept in Valkey for 15 minutes; the history may be further behind."""
        respond.handler(websocket_event(body(generate=False)), None)
        records = harness.messages("history")
        previous = json.loads(records[0]["body"])["response_id"]
        run(harness.valkey.call("DEL", f"axon:turn:{previous}"))
        continuing = body(previous_response_id=previous)
        behind = json.loads(respond.handler(websocket_event(continuing), None)["body"])
        assert (behind["status"], behind["headers"]) == (503, {"retry-after": "5"})
        assert behind["code"] == "previous_response_not_ready"
        # One that never was, and another tenant's: as ever, and at once.
        unknown = websocket_event(body(previous_response_id=new_id("resp")))
        for event in (unknown, websocket_event(continuing, tenant_id="other")):
            refused = json.loads(respond.handler(event, None)["body"])
            assert (refused["status"], refused["code"]) == (400, "previous_response_not_found")
        assert harness.is_empty("jobs")
        harness.load("write_history").handler({"Records": records}, None)
        accepted(respond, harness, previous_response_id=previous)
        assert run(harness.valkey.call("KEYS", "axon:history:pending:*")) == []


class TestRespondScaledToZero:
    @pytest.fixture
    def woken(self, monkeypatch: pytest.MonkeyPatch) -> list[EcsWorkerScaler]:
        woken: list[EcsWorkerScaler] = []

        async def ensure_running(scaler: EcsWorkerScaler) -> None:
            woken.append(scaler)

        monkeypatch.setattr(EcsWorkerScaler, "ensure_running", ensure_running)
        return woken

    @pytest.fixture
    def on_ecs(self, harness: FunctionsHarness) -> ModuleType:
        return harness.load(
            "respond", models="sleeping, other", workers_cluster="c", workers_service="s"
        )

    def test_starts_workers_for_an_expected_model(
        self, on_ecs: ModuleType, harness: FunctionsHarness, woken: list[EcsWorkerScaler]
    ) -> None:
        response_id = accepted(on_ecs, harness, model="sleeping")
        (message,) = harness.messages("jobs")
        assert Job.decode(message["body"]).response_id == response_id
        assert len(woken) == 1
        assert refused(on_ecs, body(model="none"))["code"] == "model_not_found"

    def test_starts_no_worker_while_the_model_is_served(
        self, on_ecs: ModuleType, harness: FunctionsHarness, woken: list[EcsWorkerScaler]
    ) -> None:
        accepted(on_ecs, harness, model="echo")
        assert woken == []


class TestRespondRefusal:
    def test_names_the_code_and_the_parameter_of_a_wrong_message(self, respond: ModuleType) -> None:
        for message, code, param in WRONG:
            frame = refused(respond, message)
            assert (frame["code"], frame["param"], frame["status"]) == (code, param, 400)
            assert frame["error"]["type"] == "invalid_request_error"
            assert "stream_id" not in frame

    def test_refuses_an_unknown_model(self, respond: ModuleType, harness: FunctionsHarness) -> None:
        frame = refused(respond, body(model="gpt-9"))
        assert (frame["code"], frame["param"], frame["status"]) == ("model_not_found", "model", 404)
        assert run(harness.log.running_for(CONNECTION)) == set()
        assert harness.is_empty("jobs")

    def test_echoes_the_stream_id(self, respond: ModuleType) -> None:
        for fields in ({"model": "gpt-9"}, {"temperature": 9}, {"type": "x"}):
            assert refused(respond, body(stream_id="s-1", **fields))["stream_id"] == "s-1"

    def test_refuses_to_continue_another_tenants_response(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        respond.handler(websocket_event(body(generate=False)), None)
        (message,) = harness.messages("history")
        previous = json.loads(message["body"])["response_id"]
        frame = refused(respond, body(previous_response_id=previous), tenant_id="other")
        assert frame["code"] == "previous_response_not_found"


class TestRespondFault:
    def test_reveals_nothing_of_an_internal_error(self, respond: ModuleType) -> None:
        event = websocket_event(body(stream_id="s-1"))
        del event["requestContext"]["authorizer"]
        answer = respond.handler(event, None)
        frame = json.loads(answer["body"])
        assert (frame["code"], frame["status"]) == ("internal_error", 500)
        assert frame["stream_id"] == "s-1"
        assert "authorizer" not in answer["body"]

    def test_is_overloaded_without_valkey(self, harness: FunctionsHarness) -> None:
        respond = harness.load("respond", valkey_url="redis://127.0.0.1:1/0")
        frame = refused(respond, body())
        assert (frame["code"], frame["status"]) == ("server_overloaded", 503)
        assert "127.0.0.1" not in json.dumps(frame)

    def test_is_overloaded_without_a_relay(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        run(harness.valkey.call("DEL", "axon:relays"))
        frame = refused(respond, body())
        assert (frame["code"], frame["status"]) == ("server_overloaded", 503)

    def test_fails_the_response_without_the_queue(self, harness: FunctionsHarness) -> None:
        respond = harness.load("respond", jobs_queue_url="http://127.0.0.1:1/0/jobs")
        assert respond.handler(websocket_event(body()), None) == {"statusCode": 200}
        (message,) = harness.messages("history")
        response_id = json.loads(message["body"])["response_id"]
        decoded = validate_stream(run(harness.log.read(response_id)))
        assert decoded[-1]["type"] == "response.failed"


class TestRespondCancel:
    def cancel(self, response_id: str, **fields: str) -> str:
        return json.dumps({"type": "response.cancel", "response_id": response_id} | fields)

    def test_ends_a_response_of_the_same_tenant(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        event = websocket_event(self.cancel(response_id))
        assert respond.handler(event, None) == {"statusCode": 200}
        decoded = validate_stream(run(harness.log.read(response_id)))
        assert decoded[-1]["response"]["status"] == "cancelled"

    def test_refuses_another_tenants_response(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        frame = refused(respond, self.cancel(response_id, stream_id="s"), tenant_id="other")
        assert (frame["code"], frame["status"]) == ("response_not_found", 404)
        assert frame["stream_id"] == "s"
        meta = run(harness.log.describe(response_id))
        assert meta is not None
        assert meta.status is Status.QUEUED

    def test_answers_whoever_does_not_get_the_end(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        event = websocket_event(self.cancel(response_id, stream_id="s"), connection_id="other=")
        assert json.loads(respond.handler(event, None)["body"]) == {
            "type": "response.cancelled",
            "response": {"id": response_id, "object": "response", "status": "cancelled"},
            "stream_id": "s",
        }
        respond.handler(websocket_event(body(generate=False)), None)
        ended = json.loads(harness.messages("history")[-1]["body"])["response_id"]
        frame = refused(respond, self.cancel(ended))
        assert (frame["code"], frame["status"]) == ("response_cancel_not_active", 400)

    def test_refuses_an_unknown_response(self, respond: ModuleType) -> None:
        for response_id in (new_id("resp"), "x", "resp_1:events", "\x00"):
            assert refused(respond, self.cancel(response_id))["code"] == "response_not_found"
