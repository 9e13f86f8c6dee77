"""connect and disconnect."""

import json
import time
from typing import Any

import pytest

from axon.adapters.composition import due_index
from axon.adapters.valkey import keys
from axon.event_log.log import Status
from axon.lambdas import run
from axon.responses.sweeper import ResponseSweeper
from tests.integration.functions.conftest import FunctionsHarness, websocket_event

CREATE = json.dumps({"type": "response.create", "model": "echo", "input": "hello"})
CONNECTION = "L0SM9cOFvHcCIhw="


def connect(harness: FunctionsHarness, connection_id: str = CONNECTION) -> None:
    event = websocket_event(route="$connect", connection_id=connection_id)
    assert harness.load("connect").handler(event, None) == {"statusCode": 200}


def running(harness: FunctionsHarness, connection_id: str = CONNECTION) -> set[str]:
    return run(harness.log.running_for(connection_id))


def sweeper(respond: Any) -> ResponseSweeper:
    """Return a sweeper as a relay has it, over the function's own clients."""
    index = due_index(respond.SETTINGS, valkey=respond.BACKEND.valkey)
    return ResponseSweeper(index=index, terminator=respond.BACKEND.terminator)


def test_connect_registers_the_connection(harness: FunctionsHarness) -> None:
    connect(harness)
    key = f"axon:connection:{CONNECTION}"
    assert run(harness.valkey.call("HGET", key, "tenant_id")) == b"t"
    assert run(harness.valkey.call("HGET", key, "key_id")) == b"key_1"
    assert run(harness.valkey.call("TTL", key)) > 7200


@pytest.mark.parametrize(
    ("setting", "cancels"),
    [
        ({"queryStringParameters": {"cancel_on_disconnect": "true"}}, True),
        ({"headers": {"axon-cancel-on-disconnect": "1"}}, True),
        ({"headers": {"Axon-Cancel-On-Disconnect": "TRUE"}, "queryStringParameters": None}, True),
        (
            {
                "headers": {"Axon-Cancel-On-Disconnect": "true"},
                "queryStringParameters": {"cancel_on_disconnect": "false"},
            },
            False,
        ),
    ],
)
def test_connect_takes_the_setting_that_a_disconnect_cancels(
    harness: FunctionsHarness, setting: dict[str, Any], cancels: bool
) -> None:
    respond, disconnect = harness.load("respond"), harness.load("disconnect")
    handler = harness.load("connect").handler
    assert handler(websocket_event(route="$connect") | setting, None) == {"statusCode": 200}
    respond.handler(websocket_event(CREATE), None)
    mine = running(harness)
    disconnect.handler(websocket_event(route="$disconnect"), None)
    run(sweeper(respond).end_abandoned())
    assert statuses(harness, mine) == {Status.CANCELLED if cancels else Status.QUEUED}


def test_disconnect_cancels_a_request_that_asks_for_it(harness: FunctionsHarness) -> None:
    respond, disconnect = harness.load("respond"), harness.load("disconnect")
    connect(harness)
    for cancels in (True, None):
        request = json.loads(CREATE) | {"cancel_on_disconnect": cancels}
        respond.handler(websocket_event(json.dumps(request)), None)
    mine = running(harness)
    disconnect.handler(websocket_event(route="$disconnect"), None)
    run(sweeper(respond).end_abandoned())
    assert statuses(harness, mine) == {Status.CANCELLED, Status.QUEUED}


def test_connect_refuses_a_setting_without_a_meaning(harness: FunctionsHarness) -> None:
    event = websocket_event(route="$connect")
    event["queryStringParameters"] = {"cancel_on_disconnect": "maybe"}
    assert harness.load("connect").handler(event, None) == {"statusCode": 400}


def test_connect_is_refused_with_503_without_memory(harness: FunctionsHarness) -> None:
    """An error of the function would be API Gateway's own 502, which says nothing of a retry."""
    connect = harness.load("connect")
    run(harness.valkey.call("CONFIG", "SET", "maxmemory", 1))
    try:
        event = websocket_event(route="$connect", connection_id=CONNECTION)
        assert connect.handler(event, None) == {"statusCode": 503}
    finally:
        run(harness.valkey.call("CONFIG", "SET", "maxmemory", 0))
    noted = keys.key_connections("key_1")
    assert run(harness.valkey.call("EXISTS", noted)) == 0, "a refusal takes no memory"
    assert connect.handler(event, None) == {"statusCode": 200}
    assert run(harness.valkey.call("ZSCORE", noted, CONNECTION)) is not None


def statuses(harness: FunctionsHarness, response_ids: set[str]) -> set[Status]:
    metas = [run(harness.log.describe(response_id)) for response_id in response_ids]
    return {meta.status for meta in metas if meta is not None}


def test_disconnect_lets_responses_run_until_the_resume_window_ends(
    harness: FunctionsHarness,
) -> None:
    respond, disconnect = harness.load("respond"), harness.load("disconnect", resume_window_s="0.3")
    connect(harness)
    connect(harness, "other")
    for connection_id in (CONNECTION, CONNECTION, "other"):
        respond.handler(websocket_event(CREATE, connection_id=connection_id), None)
    mine, others = running(harness), running(harness, "other")
    assert (len(mine), len(others)) == (2, 1)
    assert disconnect.handler(websocket_event(route="$disconnect"), None) == {"statusCode": 200}
    swept = sweeper(respond)
    run(swept.end_abandoned())
    assert statuses(harness, mine) == {Status.QUEUED}
    time.sleep(0.32)
    run(swept.end_abandoned())
    assert statuses(harness, mine) == {Status.CANCELLED}
    assert running(harness, "other") == others
    records = [json.loads(message["body"]) for message in harness.messages("history", count=2)]
    assert {record["response"]["status"] for record in records} == {"cancelled"}


def test_disconnect_does_not_end_a_response_resumed_in_time(harness: FunctionsHarness) -> None:
    respond, disconnect = harness.load("respond"), harness.load("disconnect", resume_window_s="0.3")
    connect(harness)
    respond.handler(websocket_event(CREATE), None)
    (response_id,) = running(harness)
    disconnect.handler(websocket_event(route="$disconnect"), None)
    resume = json.dumps({"type": "response.resume", "response_id": response_id})
    respond.handler(websocket_event(resume, connection_id="other"), None)
    disconnect.handler(websocket_event(route="$disconnect"), None)  # API Gateway may tell it twice
    time.sleep(0.32)
    run(sweeper(respond).end_abandoned())
    assert statuses(harness, {response_id}) == {Status.QUEUED}
    assert running(harness, "other") == {response_id}


def test_disconnect_prevents_later_requests(harness: FunctionsHarness) -> None:
    respond = harness.load("respond")
    connect(harness)
    harness.load("disconnect").handler(websocket_event(route="$disconnect"), None)
    assert respond.handler(websocket_event(CREATE), None) == {"statusCode": 200}
    assert running(harness) == set()
    assert harness.is_empty("jobs")


def test_disconnect_accepts_a_repeated_or_unknown_connection(harness: FunctionsHarness) -> None:
    disconnect = harness.load("disconnect")
    for _ in range(2):
        event = websocket_event(route="$disconnect", connection_id="never-seen")
        assert disconnect.handler(event, None) == {"statusCode": 200}
