"""`response.delete` on the real servers: row, cache, log and queue."""

import json
from types import ModuleType
from typing import Any

import psycopg
import pytest

from axon.adapters.valkey import keys
from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.conversations import Turn
from axon.event_log.log import Status
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness, websocket_event
from tests.integration.functions.respond_harness import accepted, body


@pytest.fixture
def respond(harness: FunctionsHarness) -> ModuleType:
    return harness.load("respond")


def delete(respond: ModuleType, response_id: str, *, tenant_id: str = "t") -> dict[str, Any]:
    message = json.dumps({"type": "response.delete", "response_id": response_id, "stream_id": "s1"})
    answer = respond.handler(websocket_event(message, tenant_id=tenant_id), None)
    event: dict[str, Any] = json.loads(answer["body"])
    return event


def ask(respond: ModuleType, message: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(respond.handler(websocket_event(message), None)["body"])
    return event


def ended(respond: ModuleType, harness: FunctionsHarness) -> list[dict[str, Any]]:
    """End a response at once; return the messages with its record."""
    respond.handler(websocket_event(body(generate=False)), None)
    return harness.messages("history")


def write(harness: FunctionsHarness, records: list[dict[str, Any]]) -> None:
    answer = harness.load("write_history").handler({"Records": records}, None)
    assert answer == {"batchItemFailures": []}


def rows(harness: FunctionsHarness) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.variables["postgres_dsn"]) as connection:
        return connection.execute("SELECT response_id FROM responses").fetchall()


def left_in_valkey(harness: FunctionsHarness, response_id: str) -> dict[str, Any]:
    """Return all keys that name the response, with the fields of those that have any."""
    found = {}
    for key in sorted(run(harness.valkey.call("KEYS", f"*{response_id}*"))):
        kind = run(harness.valkey.call("TYPE", key))
        fields = run(harness.valkey.call("HGETALL", key)) if kind == b"hash" else {}
        found[key.decode()] = {name.decode(): value for name, value in fields.items()}
    return found


DELETED = {"object": "response", "deleted": True}


@pytest.mark.parametrize("written", [True, False])
def test_delete_leaves_nothing_of_a_response(
    respond: ModuleType, harness: FunctionsHarness, written: bool
) -> None:
    records = ended(respond, harness)
    response_id = json.loads(records[0]["body"])["response_id"]
    if written:
        write(harness, records)
        assert rows(harness) == [(response_id,)]
    run(harness.valkey.call("SREM", keys.relay_responses("relay"), response_id))  # delivered

    assert delete(respond, response_id) == {
        "type": "response.deleted",
        "response": {"id": response_id} | DELETED,
        "stream_id": "s1",
    }
    # The writer is late, or the record comes a second time.
    write(harness, records)
    assert rows(harness) == []
    left = left_in_valkey(harness, response_id)
    assert left.pop(keys.turn(response_id)) == {"deleted": b"1"}
    state = left.pop(keys.response(response_id))
    assert (state["tenant_id"], "job" in state) == (b"", False)
    assert not left

    continued = ask(respond, body(previous_response_id=response_id))
    assert (continued["status"], continued["code"]) == (400, "previous_response_not_found")
    resumed = ask(respond, json.dumps({"type": "response.resume", "response_id": response_id}))
    assert (resumed["status"], resumed["code"]) == (404, "response_not_found")
    # A client that has not received the first answer.
    assert delete(respond, response_id)["type"] == "response.deleted"


def test_delete_cancels_a_running_response(respond: ModuleType, harness: FunctionsHarness) -> None:
    accepted(respond, harness)
    (message,) = harness.messages("jobs")
    response_id = json.loads(message["body"])["response"]["id"]
    assert delete(respond, response_id)["type"] == "response.deleted"
    meta = run(harness.log.describe(response_id))
    assert meta is not None
    assert meta.status is Status.CANCELLED
    # A relay still has its end to deliver: the events stay for that long.
    last = run(harness.log.read(response_id))[-1]
    assert json.loads(last.data)["response"]["status"] == "cancelled"
    assert 0 < run(harness.valkey.call("TTL", keys.events(response_id))) <= 10
    write(harness, harness.messages("history"))
    assert rows(harness) == []


def test_delete_refuses_another_tenants_response(
    respond: ModuleType, harness: FunctionsHarness
) -> None:
    records = ended(respond, harness)
    response_id = json.loads(records[0]["body"])["response_id"]
    for place in ("log", "database"):
        if place == "database":
            write(harness, records)
            harness.flush()
        refused = delete(respond, response_id, tenant_id="other")
        assert (refused["status"], refused["code"]) == (404, "response_not_found")
    assert rows(harness) == [(response_id,)]


def test_delete_keeps_a_reader_from_putting_the_turn_back(
    respond: ModuleType, harness: FunctionsHarness
) -> None:
    """It has read the database before the deletion, and refills the cache after it."""
    response_id = json.loads(ended(respond, harness)[0]["body"])["response_id"]
    cache = ValkeyTurnCache(valkey=harness.valkey, ttl_s=60)
    (turn,) = run(cache.chain(response_id))
    assert isinstance(turn, Turn)
    delete(respond, response_id)
    run(cache.put([turn]))
    assert run(cache.chain(response_id)) == []
