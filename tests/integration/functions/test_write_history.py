import json
from types import ModuleType
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from axon.history import HistoryRecord
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness, sqs_record
from tests.support.embedded_metrics import counted


@pytest.fixture
def write_history(harness: FunctionsHarness) -> ModuleType:
    return harness.load("write_history")


def record(number: int, *, version: int = 1, **changes: Any) -> HistoryRecord:
    fields = {
        "response_id": f"resp_{number}",
        "previous_response_id": f"resp_{number - 1}" if number else None,
        "conversation_id": "conv_1",
        "tenant_id": "t",
        "version": version,
        "created_ms": 1_700_000_000_000,
        "ended_ms": 1_700_000_001_000,
        "response": {
            "model": "echo",
            "status": "completed",
            "usage": {"input_tokens": 2, "output_tokens": version},
        },
        "input": [{"role": "user", "content": "a\x00b 🌍"}],
    }
    return HistoryRecord.model_validate(fields | changes)


def event(*records: HistoryRecord | str) -> dict[str, Any]:
    bodies = [r if isinstance(r, str) else r.model_dump_json() for r in records]
    return {"Records": [sqs_record(body, f"m{n}") for n, body in enumerate(bodies)]}


def failures(answer: dict[str, Any]) -> list[str]:
    return [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]


def responses(harness: FunctionsHarness) -> dict[str, dict[str, Any]]:
    with psycopg.connect(harness.variables["postgres_dsn"], row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM responses").fetchall()
    return {row["response_id"]: row for row in rows}


def test_write_history_writes_a_batch(write_history: ModuleType, harness: FunctionsHarness) -> None:
    answer = write_history.handler(event(*(record(number) for number in range(10))), None)
    assert answer == {"batchItemFailures": []}
    rows = responses(harness)
    assert len(rows) == 10
    assert rows["resp_3"]["input"][0]["content"] == "a\ufffdb 🌍"


def test_write_history_accepts_an_empty_batch(write_history: ModuleType) -> None:
    assert write_history.handler({"Records": []}, None) == {"batchItemFailures": []}


def test_write_history_ignores_repeated_and_overtaken_records(
    write_history: ModuleType, harness: FunctionsHarness
) -> None:
    newest = record(1, version=3)
    for batch in (event(newest), event(newest, record(1, version=2)), event(record(1, version=1))):
        assert failures(write_history.handler(batch, None)) == []
    assert responses(harness)["resp_1"]["version"] == 3
    with psycopg.connect(harness.variables["postgres_dsn"]) as connection:
        counted = connection.execute("SELECT responses, output_tokens FROM conversations")
        assert counted.fetchall() == [(1, 3)]


def test_write_history_keeps_the_newest_version_of_a_batch(
    write_history: ModuleType, harness: FunctionsHarness
) -> None:
    batch = event(record(1, version=1), record(1, version=3), record(1, version=2))
    assert failures(write_history.handler(batch, None)) == []
    assert responses(harness)["resp_1"]["version"] == 3


def set_aside(harness: FunctionsHarness) -> list[tuple[str, dict[str, str]]]:
    """Return body and attributes of the dead letters of the history queue."""
    answer = harness.sqs.receive_message(
        QueueUrl=harness.variables["dead_letter_queue_url"],
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )
    return [
        (
            message["Body"],
            {name: value["StringValue"] for name, value in message["MessageAttributes"].items()},
        )
        for message in answer.get("Messages", ())
    ]


@pytest.mark.parametrize(
    "poison",
    [
        "poison",
        "{}",
        json.dumps({"response_id": 5}),
        record(7, response={"status": "completed"}),
        record(7, version=2**70),
        record(7, tenant_id="nul\x00"),
    ],
)
def test_write_history_sets_a_poisoned_record_aside_and_writes_the_others(
    write_history: ModuleType, harness: FunctionsHarness, poison: HistoryRecord | str
) -> None:
    answer = write_history.handler(event(record(0), poison, record(1)), None)
    assert failures(answer) == []
    assert set(responses(harness)) == {"resp_0", "resp_1"}
    ((body, attributes),) = set_aside(harness)
    if isinstance(poison, str):
        assert body == poison
    else:
        assert HistoryRecord.decode(body) == poison
    assert attributes["message_id"] == "m1"
    assert attributes["why"].startswith("not a record: ")
    assert harness.is_empty("history")


def test_write_history_sets_a_record_of_a_newer_version_aside(
    write_history: ModuleType, harness: FunctionsHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = json.dumps(json.loads(record(1).model_dump_json()) | {"format": 99})
    assert failures(write_history.handler(event(newer), None)) == []
    ((body, attributes),) = set_aside(harness)
    assert body == newer
    assert attributes["why"].startswith("not a record: it has version 99")
    assert responses(harness) == {}
    assert {"unreadable": 1, "format": "history_record", "service": "write_history"} in counted(
        capsys
    )


@pytest.mark.parametrize("change", [{"version": 2**70}, {"format": 99}, {"input": None}])
def test_write_history_forgets_the_note_of_a_record_that_is_set_aside(
    write_history: ModuleType, harness: FunctionsHarness, change: dict[str, Any]
) -> None:
    """Continuing is answered as not found, not as pending for 14 days."""
    run(write_history.PENDING.add(record(7)))
    body = json.dumps(json.loads(record(7).model_dump_json()) | change)
    assert failures(write_history.handler(event(body), None)) == []
    assert len(set_aside(harness)) == 1
    assert run(write_history.PENDING.tenant_of("resp_7")) is None


def test_write_history_returns_a_record_that_cannot_be_set_aside(
    harness: FunctionsHarness,
) -> None:
    away = harness.load(
        "write_history", dead_letter_queue_url="http://127.0.0.1:1/0/history-dlq.fifo"
    )
    answer = away.handler(event(record(0), "poison"), None)
    assert failures(answer) == ["m1"]
    assert set(responses(harness)) == {"resp_0"}


def test_write_history_returns_all_records_without_a_database(harness: FunctionsHarness) -> None:
    module = harness.load("write_history", postgres_dsn="postgresql://127.0.0.1:1/none")
    module.STORE._pool.timeout = 0.2
    answer = module.handler(event(record(0), "poison", record(1)), None)
    assert sorted(failures(answer)) == ["m0", "m2"]
    assert [body for body, _ in set_aside(harness)] == ["poison"]


def test_write_history_writes_without_valkey(
    harness: FunctionsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes about what has arrived go to Valkey; the database does not wait for that."""
    module = harness.load("write_history", valkey_url="redis://127.0.0.1:1/0")
    monkeypatch.setattr(module, "FORGET_TIMEOUT_S", 0.1)
    assert failures(module.handler(event(record(0)), None)) == []
    assert list(responses(harness)) == ["resp_0"]
