import json
from types import ModuleType
from typing import Any

import pytest

from axon.event_log import Status
from axon.jobs import Job
from axon.lambdas import run
from tests.integration.functions.conftest import World, sqs_record, websocket_event
from tests.integration.functions.counts import counted
from tests.unit.axon.samples import a_job
from tests.unit.axon.sdk_events import validate_stream


@pytest.fixture
def dead_letter(world: World) -> ModuleType:
    return world.load("dead_letter")


def submitted(world: World, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Submit requests; return their messages as they come out of the queue."""
    respond = world.load("respond")
    body = json.dumps({"type": "response.create", "model": "echo", "input": "hello"} | fields)
    for _ in range(count):
        assert respond.handler(websocket_event(body), None) == {"statusCode": 200}
    return world.messages("jobs", count=count)


def response_id(message: dict[str, Any]) -> str:
    return Job.decode(message["body"]).response_id


def handle(dead_letter: ModuleType, *messages: dict[str, Any]) -> list[str]:
    answer = dead_letter.handler({"Records": list(messages)}, None)
    return [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]


def test_the_responses_fail_honestly(dead_letter: ModuleType, world: World) -> None:
    messages = submitted(world, 3, stream_id="s")
    assert handle(dead_letter, *messages) == []
    for message in messages:
        log = run(world.log.read(response_id(message)))
        decoded = validate_stream(log, stream_id="s")
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"]["code"] == "server_error"
    assert len(world.messages("history", count=3)) == 3


def test_what_a_worker_began_keeps_its_text(dead_letter: ModuleType, world: World) -> None:
    (message,) = submitted(world)
    job = Job.decode(message["body"])
    transcript = job.transcript()
    transcript.created()
    in_progress = transcript.in_progress()
    claim = run(world.log.claim(job.response_id, in_progress=in_progress.data))
    delta = transcript.delta("some text", [1, 2])
    run(world.log.append(job.response_id, epoch=claim.epoch, events=delta))
    assert handle(dead_letter, message) == []
    decoded = validate_stream(run(world.log.read(job.response_id)))
    (item,) = decoded[-1]["response"]["output"]
    assert item["content"][0]["text"] == "some text"


def test_what_has_ended_stays_as_it_is(dead_letter: ModuleType, world: World) -> None:
    (message,) = submitted(world)
    assert handle(dead_letter, message) == []
    before = run(world.log.read(response_id(message)))
    assert handle(dead_letter, message) == []
    assert run(world.log.read(response_id(message))) == before


def test_what_cannot_be_read_is_done_with_and_stops_no_other(
    dead_letter: ModuleType, world: World
) -> None:
    (message,) = submitted(world)
    bodies = ("poison", "{}", "[]", '{"tenant_id": 1}')
    poison = [sqs_record(body, f"poison-{body}") for body in bodies]
    assert handle(dead_letter, *poison, message) == []
    meta = run(world.log.describe(response_id(message)))
    assert meta is not None
    assert meta.status is Status.FAILED


def test_what_nobody_knows_is_done_with(dead_letter: ModuleType) -> None:
    assert handle(dead_letter, sqs_record(a_job().encode().decode(), "m1")) == []


def test_valkey_away_returns_them_all(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    dead_letter = world.load("dead_letter", valkey_url="redis://127.0.0.1:1/0")
    body = a_job().encode().decode()
    messages = [sqs_record(body, "m1"), sqs_record("poison", "m2"), sqs_record(body, "m3")]
    assert handle(dead_letter, *messages) == ["m1", "m3"]
    assert counted(capsys) == [{"dead_letters": 1, "service": "dead_letter"}]


def test_the_history_queue_away_stops_no_failure(world: World) -> None:
    (message,) = submitted(world)
    dead_letter = world.load("dead_letter", history_queue_url="http://127.0.0.1:1/0/history.fifo")
    assert handle(dead_letter, message) == []
    assert validate_stream(run(world.log.read(response_id(message))))
