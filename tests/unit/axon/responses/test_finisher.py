import asyncio
from collections.abc import Sequence

import pytest

from axon.conversations import Turn
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import FencedError, PermanentRefusalError, UnavailableError
from axon.history import HistoryRecord, version_of
from axon.jobs import Job
from axon.protocol.outlines import Outline
from axon.responses.finisher import OPTIONAL_HISTORY_S, FinishedResponse, ResponseFinisher
from axon.retry import RetryPolicy
from axon.serialization import dumps, loads
from axon.testing.stores import FakeHistory, FakeTurns
from tests.support import virtual_time
from tests.unit.axon.samples import a_job

OUTPUT = [{"type": "message"}]
ENDED_MS = 1_700_000_005_000


class FinisherHarness:
    """A finisher whose collaborators write down, in order, what reaches them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.appended: list[LoggedEvent] = []
        self.lost = 0
        self.history = RecordedHistory(self.calls)
        self.turns = RecordedTurns(self.calls)
        self.finisher = ResponseFinisher(
            history=self.history,
            turns=self.turns,
            history_lost=self.note_lost,
            clock_ms=lambda: ENDED_MS,
        )

    def note_lost(self) -> None:
        self.lost += 1

    async def append(self, event: LoggedEvent) -> None:
        self.calls.append("append")
        self.appended.append(event)


class RecordedHistory(FakeHistory):
    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self.failures = 0
        self._calls = calls

    async def send(self, record: HistoryRecord) -> None:
        self._calls.append("history")
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no queue")
        await super().send(record)


class RecordedTurns(FakeTurns):
    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    async def put(self, turns: Sequence[Turn]) -> None:
        self._calls.append("turn")
        await super().put(turns)

    async def evict(self, response_id: str) -> None:
        self._calls.append(f"evict {response_id}")
        await super().evict(response_id)


@pytest.fixture
def harness() -> FinisherHarness:
    return FinisherHarness()


def finished(job: Job, status: Status = Status.COMPLETED) -> FinishedResponse:
    response = job.response | {"status": status.value, "output": OUTPUT}
    event = LoggedEvent(7, dumps({"type": "response.completed", "response": response}))
    return FinishedResponse(
        job=job, response=response, event=event, epoch=3, status=status, outline=Outline()
    )


def parent(*, stored: bool) -> Turn:
    return Turn.of(a_job(store=stored), output=OUTPUT)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.INCOMPLETE, Status.CANCELLED])
async def test_finisher_appends_after_history_and_turn(
    harness: FinisherHarness, status: Status
) -> None:
    job = a_job()
    await harness.finisher.finish(finished(job, status), append=harness.append)
    assert harness.calls == ["history", "turn", "append"]
    assert harness.turns.turns[job.response_id] == Turn.of(job, output=OUTPUT)


async def test_finisher_records_the_response_under_its_epoch(harness: FinisherHarness) -> None:
    job = a_job()
    response = finished(job)
    await harness.finisher.finish(response, append=harness.append)
    record = harness.history.records[job.response_id]
    assert record.version == version_of(epoch=3, sequence_number=7)
    assert record.response == response.response
    assert record.ended_ms == ENDED_MS


async def test_finisher_sends_no_record_of_an_unstored_response(harness: FinisherHarness) -> None:
    job = a_job(store=False)
    await harness.finisher.finish(finished(job), append=harness.append)
    assert harness.calls == ["turn", "append"]
    assert harness.turns.turns[job.response_id].connection_id == job.connection_id


async def test_finisher_keeps_no_turn_of_a_failed_response(harness: FinisherHarness) -> None:
    await harness.finisher.finish(finished(a_job(), Status.FAILED), append=harness.append)
    assert harness.calls == ["history", "append"]


@pytest.mark.parametrize("stored", [True, False])
async def test_finisher_evicts_only_an_unstored_parent_of_a_failed_response(
    harness: FinisherHarness, stored: bool
) -> None:
    continued = [parent(stored=False), parent(stored=stored)]
    evictions = [] if stored else [f"evict {continued[-1].response_id}"]
    failed = finished(a_job(), Status.FAILED)
    await harness.finisher.finish(failed, append=harness.append, continued=continued)
    assert harness.calls == ["history", *evictions, "append"]


async def test_finisher_evicts_nothing_when_the_response_has_not_failed(
    harness: FinisherHarness,
) -> None:
    continued = [parent(stored=False)]
    await harness.finisher.finish(finished(a_job()), append=harness.append, continued=continued)
    assert harness.calls == ["history", "turn", "append"]


async def test_finisher_appends_nothing_while_the_history_is_away(
    harness: FinisherHarness,
) -> None:
    harness.history.failures = 1
    with pytest.raises(UnavailableError):
        await harness.finisher.finish(finished(a_job()), append=harness.append)
    assert harness.calls == ["history"]


async def test_finisher_appends_without_a_history_that_is_not_required(
    harness: FinisherHarness,
) -> None:
    harness.history.failures = 1
    failed = finished(a_job(), Status.FAILED)
    await harness.finisher.finish(failed, append=harness.append, history_required=False)
    assert harness.calls == ["history", "append"]

    assert loads(harness.appended[0].data)["response"]["store"] is False


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.INCOMPLETE, Status.CANCELLED])
async def test_finisher_ends_a_response_unstored_when_its_record_is_refused_for_good(
    harness: FinisherHarness, status: Status
) -> None:
    harness.history.fail_with = PermanentRefusalError("too large")
    job = a_job()
    await harness.finisher.finish(finished(job, status), append=harness.append, retry=RetryPolicy())
    assert harness.calls == ["history", "turn", "append"]
    (event,) = harness.appended
    assert event.sequence_number == 7
    told = loads(event.data)["response"]
    assert told == finished(job, status).response | {"store": False}
    assert harness.turns.turns[job.response_id].connection_id == job.connection_id
    assert harness.lost == 1


async def test_finisher_notes_a_refused_record_of_a_response_that_has_ended(
    harness: FinisherHarness,
) -> None:
    harness.history.fail_with = PermanentRefusalError("too large")
    await harness.finisher.store_ended(finished(a_job(), Status.FAILED))
    assert (harness.calls, harness.lost) == (["history"], 1)
    harness.history.fail_with = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await harness.finisher.store_ended(finished(a_job(), Status.FAILED))
    assert harness.lost == 1


async def test_finisher_tells_a_stored_response_as_stored(harness: FinisherHarness) -> None:
    await harness.finisher.finish(finished(a_job()), append=harness.append)
    assert loads(harness.appended[0].data)["response"]["store"] is True
    assert harness.lost == 0


async def test_finisher_retries_as_its_caller_says(harness: FinisherHarness) -> None:
    harness.history.failures = 2
    await harness.finisher.finish(finished(a_job()), append=harness.append, retry=RetryPolicy())
    assert harness.calls == ["history", "history", "history", "turn", "append"]


async def test_finisher_raises_what_the_append_raises(harness: FinisherHarness) -> None:
    async def append(event: LoggedEvent) -> None:
        raise FencedError("a newer attempt")

    with pytest.raises(FencedError):
        await harness.finisher.finish(finished(a_job()), append=append)
    assert harness.calls == ["history", "turn"]


def test_finisher_waits_seconds_at_most_for_a_history_that_is_not_required() -> None:
    async def scenario() -> None:
        harness = FinisherHarness()

        async def hang(record: HistoryRecord) -> None:
            await asyncio.sleep(1000)

        harness.history.send = hang  # type: ignore[method-assign]
        failed = finished(a_job(), Status.FAILED)
        await harness.finisher.finish(failed, append=harness.append, history_required=False)
        assert virtual_time.now() == OPTIONAL_HISTORY_S
        assert loads(harness.appended[0].data)["response"]["store"] is False
        assert harness.lost == 1

    virtual_time.run(scenario())
