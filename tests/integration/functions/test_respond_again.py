"""respond, for clients that come back: response.resume and idempotency_key."""

import json
from types import ModuleType
from typing import Any

import pytest

from axon.adapters.valkey.directories import ValkeyConnectionDirectory
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

OTHER = "L0SN1eOFvHcCIhw="


@pytest.fixture
def respond(harness: FunctionsHarness) -> ModuleType:
    return harness.load("respond")


def resume(response_id: str, **fields: Any) -> str:
    return json.dumps({"type": "response.resume", "response_id": response_id} | fields)


def answered(respond: ModuleType, message: str, **context: str) -> None:
    """Send a message that is answered by nothing but events."""
    assert respond.handler(websocket_event(message, **context), None) == {"statusCode": 200}


class TestRespondResume:
    def test_delivers_to_another_connection(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        answered(respond, resume(response_id, starting_after=0), connection_id=OTHER)
        meta = described(harness, response_id)
        assert (meta.connection_id, meta.checkpoint.next_sequence) == (OTHER, 1)
        assert run(harness.log.running_for(OTHER)) == {response_id}

    def test_continues_after_the_connection_has_closed(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        harness.load("disconnect").handler(websocket_event(route="$disconnect"), None)
        answered(respond, resume(response_id), connection_id=OTHER)
        assert described(harness, response_id).connection_id == OTHER
        assert run(harness.valkey.call("ZCARD", "axon:abandoned")) == 0

    def test_refuses_an_unknown_response_or_a_wrong_number(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        for message, code, param, status in (
            (resume(new_id("resp")), "response_not_found", "response_id", 404),
            (resume("resp_1:events"), "response_not_found", "response_id", 404),
            (resume(response_id, starting_after=9), "invalid_value", "starting_after", 400),
            (resume(response_id, starting_after=-2), "invalid_value", "starting_after", 400),
            ('{"type": "response.resume"}', "missing_required_parameter", "response_id", 400),
        ):
            frame = refused(respond, message, connection_id=OTHER)
            assert (frame["code"], frame["param"], frame["status"]) == (code, param, status)
        assert described(harness, response_id).connection_id == CONNECTION

    def test_refuses_another_tenants_response(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        frame = refused(
            respond, resume(response_id, stream_id="s"), tenant_id="other", connection_id=OTHER
        )
        assert (frame["code"], frame["status"]) == ("response_not_found", 404)
        assert frame["stream_id"] == "s"
        assert described(harness, response_id).connection_id == CONNECTION

    def test_is_overloaded_without_a_relay(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        run(harness.valkey.call("DEL", "axon:relays"))
        frame = refused(respond, resume(response_id), connection_id=OTHER)
        assert (frame["code"], frame["status"]) == ("server_overloaded", 503)

    def test_leaves_the_response_if_the_new_connection_has_closed(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness)
        run(ValkeyConnectionDirectory(valkey=harness.valkey).remove(OTHER))
        answered(respond, resume(response_id), connection_id=OTHER)
        assert described(harness, response_id).connection_id == CONNECTION


class TestRespondIdempotencyKey:
    def test_returns_the_same_response_for_the_same_request(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        response_id = accepted(respond, harness, idempotency_key="k")
        run(harness.log.claim(response_id))
        harness.messages("jobs")
        answered(respond, body(idempotency_key="k"))
        assert run(harness.log.running_for(CONNECTION)) == {response_id}
        answered(respond, body(idempotency_key="k"), connection_id=OTHER)
        assert described(harness, response_id).connection_id == OTHER
        assert harness.is_empty("jobs")

    def test_sends_a_job_that_was_never_sent(self, harness: FunctionsHarness) -> None:
        respond = harness.load("respond")
        response_id = accepted(respond, harness, idempotency_key="k")
        harness.messages("jobs")  # as if it had died before
        answered(respond, body(idempotency_key="k"), connection_id=OTHER)
        (message,) = harness.messages("jobs")
        assert Job.decode(message["body"]).response_id == response_id

    def test_refuses_another_request_with_the_same_key(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        accepted(respond, harness, idempotency_key="k")
        frame = refused(respond, body(idempotency_key="k", input="other", stream_id="s"))
        assert (frame["code"], frame["param"]) == ("idempotency_key_reused", "idempotency_key")
        assert (frame["status"], frame["stream_id"]) == (409, "s")

    def test_refuses_another_tenants_response(
        self, respond: ModuleType, harness: FunctionsHarness
    ) -> None:
        mine = accepted(respond, harness, idempotency_key="k")
        message = body(idempotency_key="k")
        answered(respond, message, tenant_id="other", connection_id=OTHER)
        (theirs,) = run(harness.log.running_for(OTHER))
        assert theirs != mine
        assert described(harness, mine).connection_id == CONNECTION
        assert described(harness, theirs).tenant_id == "other"

    def test_refuses_a_wrong_key(self, respond: ModuleType) -> None:
        for key in ("", "x" * 256, 7):
            assert refused(respond, body(idempotency_key=key))["param"] == "idempotency_key"
