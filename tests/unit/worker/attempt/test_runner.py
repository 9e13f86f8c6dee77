"""JobRunner over fakes: outcomes, overdue jobs and lost logs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, LostResponse, Status
from axon.exceptions import HistoryPendingError, UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.responses.terminator import OVERDUE
from tests.support.eventually import eventually
from tests.support.virtual_time import now, run
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.worker.attempt.attempt_harness import DEAD, AttemptHarness, outcome_of, text_of
from tests.unit.worker.attempt.faulty_event_log_stub import Fault, going_wrong
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.context import AttemptContext
from worker.attempt.endings import LOST
from worker.attempt.runner import JobRunner
from worker.engines.protocol import EngineDeadError, EngineError
from worker.outcome import RELEASED, AttemptOutcome, AttemptResult, MessageAction


async def answered(
    harness: AttemptHarness,
    job: Job,
    engine: ScriptedEngine | None = None,
    *,
    receive_count: int = 1,
) -> AttemptOutcome:
    context = harness.context(engine or ScriptedEngine(["a"]))
    return await outcome_of(job, delivered(receive_count), context=context)


async def begun(
    harness: AttemptHarness, job: Job, engine: ScriptedEngine
) -> asyncio.Task[AttemptOutcome]:
    """Answer a job; the engine waits before its first token."""
    engine.pass_(0)
    running = asyncio.create_task(answered(harness, job, engine))
    await eventually(lambda: engine.running, interval_s=0)
    return running


def raising(error: Exception) -> Callable[..., Awaitable[None]]:
    """Return a function that takes anything and raises the error."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def delivered(times: int, *, message_id: str = "message") -> ReceivedJob:
    """Return a job's message with this receive count."""
    return ReceivedJob(body="", receipt_handle="", receive_count=times, message_id=message_id)


class TestRunnerOutcome:
    async def test_is_completed_for_a_whole_answer(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        assert await answered(harness, job) is AttemptOutcome.COMPLETED
        assert text_of(await harness.answered(job)) == "a"

    async def test_is_failed_for_a_failed_response(self, harness: AttemptHarness) -> None:
        engine = ScriptedEngine(failures=[(0, EngineError("broken"))])
        assert await answered(harness, await harness.job(), engine) is AttemptOutcome.FAILED

    async def test_is_cancelled_for_a_response_that_was_ended_from_outside(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        await harness.terminator.end(job.response_id, Status.CANCELLED)
        assert await answered(harness, job) is AttemptOutcome.CANCELLED

    @pytest.mark.parametrize(
        ("message_id", "outcome"),
        [("message", AttemptOutcome.FENCED), ("another", AttemptOutcome.DUPLICATE)],
    )
    async def test_is_fenced_or_a_duplicate_after_a_newer_claim(
        self, harness: AttemptHarness, message_id: str, outcome: AttemptOutcome
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two"])
        running = await begun(harness, job, engine)
        await harness.valkey.claim(job.response_id, message_id=message_id)
        engine.pass_(2)
        assert await running is outcome
        assert (harness.metric("axon_tokens_regenerated_total", model="echo") or 0) >= 1

    @pytest.mark.parametrize("seconds", [0.0, 0.5])
    def test_is_cancelled_if_a_terminator_claims_and_ends_the_response(
        self, seconds: float
    ) -> None:
        async def story() -> None:
            harness = AttemptHarness()
            await harness.begin()
            job = await harness.job()
            engine = ScriptedEngine(["one ", "two"])
            running = await begun(harness, job, engine)
            terminator = await harness.valkey.claim(job.response_id)
            engine.pass_(2)
            await asyncio.sleep(seconds)
            await harness.valkey.append(
                job.response_id,
                epoch=terminator.epoch,
                events=[LoggedEvent(terminator.next_sequence, b"{}")],
                status=Status.CANCELLED,
            )
            assert await running is AttemptOutcome.CANCELLED

        run(story())

    def test_is_fenced_if_a_terminator_dies_before_the_end(self) -> None:
        async def story() -> None:
            harness = AttemptHarness()
            await harness.begin()
            job = await harness.job()
            engine = ScriptedEngine(["one ", "two"])
            running = await begun(harness, job, engine)
            await harness.valkey.claim(job.response_id)
            engine.pass_(2)
            assert await running is AttemptOutcome.FENCED

        run(story())

    async def test_raises_if_the_engine_dies(self, harness: AttemptHarness) -> None:
        with pytest.raises(EngineDeadError):
            await answered(harness, await harness.job(), ScriptedEngine(failures=[(0, DEAD)]))


class TestRunnerOverdue:
    @pytest.mark.parametrize("begun", [False, True])
    async def test_fails_the_response_without_running_it(
        self, harness: AttemptHarness, begun: bool
    ) -> None:
        job = await harness.job()
        if begun:
            await harness.say(job.response_id, "some")
        harness.now += DEADLINE_S
        harness.clock_ms = job.deadline_ms(DEADLINE_S)
        engine = ScriptedEngine(["a"])
        assert await answered(harness, job, engine) is AttemptOutcome.OVERDUE
        assert engine.requests == []
        decoded = await harness.answered(job)
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"] == OVERDUE
        assert harness.history.records[job.response_id].response["status"] == "failed"

    async def test_runs_a_job_just_before_its_deadline(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        harness.clock_ms = job.deadline_ms(DEADLINE_S) - 1
        assert await answered(harness, job) is AttemptOutcome.COMPLETED

    async def test_leaves_an_ended_response_unchanged(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        await answered(harness, job)
        before = await harness.valkey.read(job.response_id)
        harness.clock_ms = job.deadline_ms(DEADLINE_S)
        assert await answered(harness, job) is AttemptOutcome.OVERDUE
        assert await harness.valkey.read(job.response_id) == before

    def test_waits_for_valkey_even_beyond_the_deadline(self) -> None:
        async def story() -> None:
            harness = AttemptHarness()
            await harness.begin()
            job = await harness.job()
            harness.clock_ms = job.created_ms
            begun = now()

            async def away(*_: object, **__: object) -> None:
                harness.clock_ms = job.created_ms + int((now() - begun) * 1000)
                raise UnavailableError("away")

            claim, describe = harness.valkey.claim, harness.valkey.describe
            harness.valkey.claim = harness.valkey.describe = away  # type: ignore[assignment,method-assign]
            running = asyncio.create_task(answered(harness, job))
            await asyncio.sleep(DEADLINE_S + 60)
            assert not running.done()
            harness.valkey.claim = claim  # type: ignore[method-assign]
            harness.valkey.describe = describe  # type: ignore[method-assign]
            assert await running is AttemptOutcome.OVERDUE
            assert await harness.status(job.response_id) is Status.FAILED

        run(story())

    async def test_does_not_wait_while_the_worker_drains(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        harness.clock_ms = job.deadline_ms(DEADLINE_S)
        harness.shutdown.drain()
        with going_wrong(harness, [Fault.UNSENT]), pytest.raises(UnavailableError):
            await answered(harness, job)


class TestRunnerLostLog:
    async def test_fails_the_response_with_the_reason(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        await harness.say(job.response_id, "some")
        harness.valkey.lose()
        assert await answered(harness, job, receive_count=2) is AttemptOutcome.FAILED
        decoded = await harness.answered(job)
        types = [event["type"] for event in decoded]
        assert types == ["response.created", "response.in_progress", "response.failed"]
        assert decoded[-1]["response"]["error"] == LOST
        assert harness.history.records[job.response_id].response == decoded[-1]["response"]
        assert await answered(harness, job, receive_count=3) is AttemptOutcome.CANCELLED

    async def test_leaves_the_end_that_the_history_has(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        assert await answered(harness, job) is AttemptOutcome.COMPLETED
        record = harness.history.records[job.response_id]
        harness.valkey.lose()
        assert await answered(harness, job, receive_count=2) is AttemptOutcome.CANCELLED
        assert harness.history.records[job.response_id] is record
        assert await harness.valkey.describe(job.response_id) is None

    def test_fails_the_response_while_the_database_stays_away(
        self, harness: AttemptHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def story() -> None:
            job = await harness.job()
            harness.valkey.lose()
            monkeypatch.setattr(harness.conversations, "chain", raising(UnavailableError("away")))
            running = asyncio.create_task(answered(harness, job, receive_count=2))
            await asyncio.sleep(50)
            assert not running.done()
            await asyncio.sleep(20)
            assert running.done()
            assert await running is AttemptOutcome.FAILED

        run(story())

    def test_leaves_the_end_that_a_database_has_after_an_outage(
        self, harness: AttemptHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def story() -> None:
            job = await harness.job()
            assert await answered(harness, job) is AttemptOutcome.COMPLETED
            harness.valkey.lose()
            with monkeypatch.context() as outage:
                outage.setattr(harness.conversations, "chain", raising(UnavailableError("away")))
                running = asyncio.create_task(answered(harness, job, receive_count=2))
                await asyncio.sleep(10)
            assert await running is AttemptOutcome.CANCELLED
            assert await harness.valkey.describe(job.response_id) is None

        run(story())

    async def test_leaves_the_end_of_which_the_record_is_on_its_way(
        self, harness: AttemptHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = await harness.job()
        harness.valkey.lose()
        pending = raising(HistoryPendingError(job.response_id))
        monkeypatch.setattr(harness.conversations, "chain", pending)
        assert await answered(harness, job, receive_count=2) is AttemptOutcome.CANCELLED

    async def test_fails_the_response_if_the_log_is_lost_again(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        harness.valkey.lose()
        with going_wrong(harness, [Fault.NONE, Fault.NONE, Fault.LOST]):
            assert await answered(harness, job, receive_count=2) is AttemptOutcome.FAILED
        assert (await harness.answered(job))[-1]["response"]["error"] == LOST

    async def test_restores_the_log_of_a_first_receive(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        harness.valkey.lose()
        assert await answered(harness, job, receive_count=1) is AttemptOutcome.COMPLETED

    async def test_keeps_a_log_that_was_restored_before(
        self, harness: AttemptHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An older attempt restores the log before this one can fail it."""
        job = await harness.job()
        older = await harness.say(job.response_id, "some")
        held = LostResponse(
            response_id=job.response_id,
            tenant_id=job.tenant_id,
            connection_id=job.connection_id,
            job=job.encode(),
            age_ms=0,
            epoch=1,
            events=await harness.valkey.read(job.response_id),
            status=Status.IN_PROGRESS,
        )
        harness.valkey.lose()
        restore = harness.valkey.restore

        async def too_late(response: LostResponse) -> None:
            await restore(held)
            await restore(response)

        monkeypatch.setattr(harness.valkey, "restore", too_late)
        assert await answered(harness, job, receive_count=2) is AttemptOutcome.FENCED
        assert job.response_id not in harness.history.records
        await older.complete()
        assert text_of(await harness.answered(job)) == "some"


FAULTS = st.lists(st.sampled_from(Fault), max_size=30)
TOKENS = [f"{number} " for number in range(8)]


def with_time(context: AttemptContext, job: Job) -> AttemptContext:
    """Return the context with a clock that moves whenever somebody looks at it."""
    return replace(context, clock_ms=count(job.created_ms).__next__)


async def is_honest(harness: AttemptHarness, job: Job) -> bool:
    """Check that the answer is whole, or said to be lost; return whether it is whole."""
    decoded = await harness.answered(job)
    assert harness.history.records[job.response_id].response == decoded[-1]["response"]
    if decoded[-1]["type"] == "response.completed":
        assert text_of(decoded) == "".join(TOKENS)
        return True
    assert decoded[-1]["response"]["error"] == LOST
    return False


@settings(max_examples=60)
@given(faults=FAULTS, deaths=st.lists(st.integers(0, 8), max_size=3))
def test_jobs_end_once_with_the_whole_answer_or_an_honest_failure(
    faults: Sequence[Fault], deaths: Sequence[int]
) -> None:
    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        engine = ScriptedEngine(TOKENS, failures=[(d, DEAD) for d in deaths], token_s=0.02)
        context = with_time(harness.context(engine), job)
        with going_wrong(harness, faults) as happened:
            results = await _until_final(
                lambda n: JobRunner(context=context).run(job, delivered(n))
            )
        lost = {Fault.LOST, Fault.LOST_UNANSWERED} & set(happened)
        assert await is_honest(harness, job) or (lost and len(results) > 1)

    run(story())


async def _until_final(deliver: Callable[..., Awaitable[AttemptResult]]) -> list[AttemptResult]:
    """Deliver the job until somebody is done with it."""
    results: list[AttemptResult] = []
    while not (results and results[-1].message is MessageAction.DELETE):
        try:
            results.append(await deliver(len(results) + 1))
        except EngineDeadError:
            results.append(RELEASED)
    return results


@settings(max_examples=60)
@example(
    faults=[*[Fault.NONE] * 7, Fault.UNSENT, *[Fault.NONE] * 3, Fault.UNSENT], after_s=[0.2, 0.2]
)
@given(
    faults=FAULTS,
    after_s=st.lists(st.sampled_from([0.01, 0.1, 0.2, 0.5, 2.0]), min_size=1, max_size=3),
)
def test_duplicates_of_a_job_give_one_answer(
    faults: Sequence[Fault], after_s: Sequence[float]
) -> None:
    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        engine = ScriptedEngine(TOKENS, token_s=0.05)
        context = with_time(harness.context(engine), job)

        async def deliver(at: float) -> AttemptOutcome:
            await asyncio.sleep(at)
            message = delivered(1, message_id=f"sent {at} s later")
            return await outcome_of(job, message, context=context)

        with going_wrong(harness, faults) as happened:
            outcomes = await asyncio.gather(*map(deliver, (0.0, *after_s)))
        losses = [fault for fault in happened if fault in (Fault.LOST, Fault.LOST_UNANSWERED)]
        assert await is_honest(harness, job) or losses
        # A failure that one attempt has written after a loss may be lost itself: another one that
        # holds all events restores them, and completes.
        finals = {AttemptOutcome.COMPLETED, AttemptOutcome.FAILED} & set(outcomes)
        assert len(finals) == 1 or len(losses) > 1
        assert engine.running == 0

    run(story())
