import json
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from axon.event_log.log import Status
from axon.jobs import Job
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness, sqs_record, websocket_event
from tests.support.embedded_metrics import counted
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import a_job


@pytest.fixture
def dead_letter(harness: FunctionsHarness) -> ModuleType:
    return harness.load("dead_letter")


def submitted(harness: FunctionsHarness, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Submit requests; return their messages as they come out of the queue."""
    respond = harness.load("respond")
    body = json.dumps({"type": "response.create", "model": "echo", "input": "hello"} | fields)
    for _ in range(count):
        assert respond.handler(websocket_event(body), None) == {"statusCode": 200}
    return harness.messages("jobs", count=count)


def response_id(message: dict[str, Any]) -> str:
    return Job.decode(message["body"]).response_id


def handle(dead_letter: ModuleType, *messages: dict[str, Any]) -> list[str]:
    answer = dead_letter.handler({"Records": list(messages)}, None)
    return [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]


def parked(harness: FunctionsHarness, count: int = 1) -> list[tuple[str, dict[str, str]]]:
    """Take dead letters out of the parked queue; return the body and the attributes of each."""
    url = harness.variables["parked_queue_url"]
    found: list[tuple[str, dict[str, str]]] = []
    while len(found) < count:
        answer = harness.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=2
        )
        assert answer.get("Messages"), f"{len(found)} of {count} dead letters"
        for message in answer["Messages"]:
            harness.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            attributes = message["MessageAttributes"].items()
            found.append((message["Body"], {n: value["StringValue"] for n, value in attributes}))
    assert harness.is_empty("parked")
    return found


def test_dead_letter_fails_the_responses(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    messages = submitted(harness, 3, stream_id="s")
    assert handle(dead_letter, *messages) == []
    for message in messages:
        log = run(harness.log.read(response_id(message)))
        decoded = validate_stream(log, stream_id="s")
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"]["code"] == "server_error"
    assert len(harness.messages("history", count=3)) == 3


def test_dead_letter_parks_the_messages(dead_letter: ModuleType, harness: FunctionsHarness) -> None:
    messages = submitted(harness, 3, input='wörld 🌍 \x00 \ufffe\uffff "\\ ')
    for message in messages:
        message["attributes"]["ApproximateReceiveCount"] = "4"
    before = datetime.now(UTC).replace(microsecond=0)
    assert handle(dead_letter, *messages) == []
    attributes_of = dict(parked(harness, 3))
    for message in messages:
        attributes = attributes_of[message["body"]]
        assert before <= datetime.fromisoformat(attributes.pop("when")) <= datetime.now(UTC)
        assert attributes == {
            "message_id": message["messageId"],
            "why": "failed repeatedly",
            "attempts": "3",
            "response_id": response_id(message),
        }


def test_dead_letter_keeps_the_text_that_a_worker_generated(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    (message,) = submitted(harness)
    job = Job.decode(message["body"])
    transcript = job.transcript()
    transcript.created()
    in_progress = transcript.in_progress()
    claim = run(harness.log.claim(job.response_id, in_progress=in_progress.data))
    delta = transcript.delta("some text", [1, 2])
    run(harness.log.append(job.response_id, epoch=claim.epoch, events=delta))
    assert handle(dead_letter, message) == []
    decoded = validate_stream(run(harness.log.read(job.response_id)))
    (item,) = decoded[-1]["response"]["output"]
    assert item["content"][0]["text"] == "some text"


def test_dead_letter_leaves_an_ended_response(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    (message,) = submitted(harness)
    assert handle(dead_letter, message) == []
    before = run(harness.log.read(response_id(message)))
    assert handle(dead_letter, message) == []
    assert run(harness.log.read(response_id(message))) == before
    assert len(harness.messages("history")) == 1
    assert harness.is_empty("history")
    # SQS knows no way to park it once: both copies say which message they are.
    copies = parked(harness, 2)
    assert {body for body, _ in copies} == {message["body"]}
    assert {attributes["message_id"] for _, attributes in copies} == {message["messageId"]}
    assert {attributes["why"] for _, attributes in copies} == {"failed repeatedly"}


def test_dead_letter_handles_a_duplicate_in_one_batch(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    (message,) = submitted(harness)
    assert handle(dead_letter, message, message) == []
    assert validate_stream(run(harness.log.read(response_id(message))))[-1]["type"] == (
        "response.failed"
    )
    parked(harness, 2)


def test_dead_letter_leaves_a_completed_response(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    (message,) = submitted(harness)
    ended = harness.load("dead_letter").TERMINATOR.end(response_id(message), Status.CANCELLED)
    run(ended)
    assert handle(dead_letter, message) == []
    ((_, attributes),) = parked(harness)
    assert attributes["why"] == "received repeatedly, though its response is cancelled"
    meta = run(harness.log.describe(response_id(message)))
    assert meta is not None
    assert meta.status is Status.CANCELLED


def job_with(**fields: Any) -> str:
    """Return a job's body with other fields."""
    return json.dumps(json.loads(a_job().encode()) | fields)


def test_dead_letter_parks_an_unreadable_message_and_handles_the_others(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    (message,) = submitted(harness)
    reasons = {
        "poison": "Invalid JSON",
        "{}": "tenant_id: Field required",
        "[]": "Input should be an object",
        '{"tenant_id": 1}': "tenant_id: Input should be a valid string",
        '{"tenant_id": "wörld\\ud83c\\udf0d"}': "connection_id: Field required",
        job_with(sampling={"\U0001f30d": "x"}): "sampling: Input should be a valid number",
        job_with(response={}): "its response has no valid id",
        job_with(response={"id": "resp_* {}"}): "its response has no valid id",
    }
    poison = [sqs_record(body, f"m{number}") for number, body in enumerate(reasons)]
    assert handle(dead_letter, *poison, message) == []
    meta = run(harness.log.describe(response_id(message)))
    assert meta is not None
    assert meta.status is Status.FAILED
    attributes_of = dict(parked(harness, len(reasons) + 1))
    for number, (body, reason) in enumerate(reasons.items()):
        attributes = attributes_of[body]
        assert attributes["message_id"] == f"m{number}"
        assert attributes["why"].startswith(f"not a job: {reason}")
        # A job that cannot be read may still tell which response waits for it.
        named = json.loads(body)["response"]["id"] if reason.startswith("sampling") else None
        assert attributes.get("response_id") == named


def test_dead_letter_ends_the_response_of_a_job_of_a_newer_version(
    dead_letter: ModuleType, harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    (message,) = submitted(harness)
    id_ = response_id(message)
    newer = json.dumps({"format": 99, "response": {"id": id_}, "tenant_id": "t"})
    # The log has the job as its submitter queued it, so in the newer version, too.
    run(harness.valkey.call("HSET", f"axon:response:{id_}", "job", newer))
    counted(capsys)
    assert handle(dead_letter, sqs_record(newer, "m1")) == []
    events = validate_stream(run(harness.log.read(id_)))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    ((body, attributes),) = parked(harness)
    assert (body, attributes["response_id"]) == (newer, id_)
    assert attributes["why"].startswith("not a job: it has version 99")
    assert {"unreadable": 1, "format": "job", "service": "dead_letter"} in counted(capsys)


def test_dead_letter_parks_the_job_of_an_unknown_response(
    dead_letter: ModuleType, harness: FunctionsHarness
) -> None:
    body = a_job().encode().decode()
    assert handle(dead_letter, sqs_record(body, "m1")) == []
    ((kept, attributes),) = parked(harness)
    assert kept == body
    assert attributes["why"] == "failed repeatedly; nobody could be told"


def test_dead_letter_returns_all_messages_without_valkey(
    harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    dead_letter = harness.load("dead_letter", valkey_url="redis://127.0.0.1:1/0")
    body = a_job().encode().decode()
    messages = [sqs_record(body, "m1"), sqs_record("poison", "m2"), sqs_record(body, "m3")]
    assert handle(dead_letter, *messages) == ["m1", "m3"]
    assert counted(capsys) == [
        {"unreadable": 1, "format": "job", "service": "dead_letter"},
        {"dead_letters": 1, "service": "dead_letter"},
    ]
    assert [body for body, _ in parked(harness)] == ["poison"]


def test_dead_letter_returns_a_message_that_cannot_be_parked(
    harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    (message,) = submitted(harness)
    away = harness.load("dead_letter", parked_queue_url="http://127.0.0.1:1/0/jobs-parked")
    counted(capsys)
    assert handle(away, message) == [message["messageId"]]
    assert counted(capsys) == [{"dead_letters": 0, "service": "dead_letter"}]
    assert validate_stream(run(harness.log.read(response_id(message))))

    dead_letter = harness.load("dead_letter")
    assert handle(dead_letter, message) == []
    ((_, attributes),) = parked(harness)
    assert attributes["why"] == "failed repeatedly"


def test_dead_letter_fails_responses_without_the_history_queue(harness: FunctionsHarness) -> None:
    (message,) = submitted(harness)
    dead_letter = harness.load("dead_letter", history_queue_url="http://127.0.0.1:1/0/history.fifo")
    assert handle(dead_letter, message) == []
    assert validate_stream(run(harness.log.read(response_id(message))))
