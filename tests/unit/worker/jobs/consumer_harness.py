"""A consumer over a queue in memory, whose attempts do what a test says."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry

from axon.formats import UnreadableError
from axon.jobs import Job, NotExtended, ReceivedJob
from axon.testing.stores import FakeJobQueue
from tests.support.virtual_time import now
from tests.unit.worker.tracing_stub import RecordedTracing
from worker.attempt.endings import ENDINGS
from worker.jobs.consumer import Consumer, UnreadablePolicy
from worker.metrics import WorkerMetrics
from worker.outcome import COMPLETED, FORWARDED, AttemptOutcome, AttemptResult
from worker.quarantine import Quarantine
from worker.shutdown import Shutdown

VISIBILITY_S = 30
RESULTS = {
    result.outcome: result
    for result in (
        COMPLETED,
        FORWARDED,
        *(ending.result for ending in ENDINGS.values() if not ending.escalates),
    )
}
"""Result by outcome, as a runner returns it."""


class Queue(FakeJobQueue):
    """Notes what it was asked, and when."""

    def __init__(self, *, poll_s: float = 1.0) -> None:
        super().__init__(poll_s=poll_s)
        self.limits: list[int] = []
        self.deleted: list[ReceivedJob] = []
        self.released: list[ReceivedJob] = []
        self.extended: list[tuple[float, int, int]] = []
        self.refuse_delete: Exception | None = None
        self.release_s = 0.0

    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        assert limit >= 1
        self.limits.append(limit)
        return await super().receive(limit=limit)

    async def delete(self, received: ReceivedJob) -> None:
        if self.refuse_delete:
            raise self.refuse_delete
        self.deleted.append(received)
        await super().delete(received)

    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        if timeout_s:
            self.extended.append((now(), len(messages), timeout_s))
        else:  # they do not come again
            await asyncio.sleep(self.release_s)
            self.released += messages
            for received in messages:
                self.in_flight.pop(received.receipt_handle, None)
        return ()


class ConsumerHarness:
    """A consumer whose attempts do what `work` says."""

    def __init__(
        self,
        *,
        slots: int = 2,
        prefetch: int = 0,
        poll_s: float = 1.0,
        quarantine: Quarantine | None = None,
        unreadable: UnreadablePolicy | None = None,
    ) -> None:
        self.queue = Queue(poll_s=poll_s)
        self.runs: list[str] = []
        self.receive_counts: list[int] = []
        self.most = 0
        self.going = asyncio.Event()
        self.outcome = AttemptOutcome.COMPLETED
        self.shutdown = Shutdown()
        self.work: Callable[[Job], Awaitable[None]] = self.succeed
        self.registry = CollectorRegistry()
        self.tracing = RecordedTracing()
        self.changes: list[int] = []
        self.refused: list[UnreadableError] = []
        self.consumer = Consumer(
            queue=self.queue,
            runner=self,
            slots=slots,
            prefetch=prefetch,
            visibility_timeout_s=VISIBILITY_S,
            metrics=WorkerMetrics(registry=self.registry),
            tracing=self.tracing,
            shutdown=self.shutdown,
            load_changed=self.changes.append,
            refused=self.refused.append,
            quarantine=quarantine,
            unreadable=unreadable,
        )

    def outcomes(self) -> dict[str, float]:
        """Return the number of attempts by outcome."""
        counted = {
            outcome.value: self.registry.get_sample_value(
                "axon_jobs_total", {"outcome": outcome.value}
            )
            for outcome in AttemptOutcome
        }
        return {outcome: count for outcome, count in counted.items() if count}

    async def succeed(self, job: Job) -> None: ...

    async def hand_over(self, job: Job) -> None:
        await self.shutdown.handing_over.wait()
        self.outcome = AttemptOutcome.RELEASED

    async def wait(self, job: Job) -> None:
        await self.going.wait()

    def fail(self, error: Exception) -> None:
        async def work(job: Job) -> None:
            raise error

        self.work = work

    async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
        self.runs.append(job.response_id)
        self.receive_counts.append(received.receive_count)
        self.most = max(self.most, self.consumer.running)
        await self.work(job)
        return RESULTS[self.outcome]

    async def consume(self, seconds: float) -> None:
        """Consume for a number of seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.consumer.consume()


def pause(times: list[float], *, since: float) -> list[float]:
    return [later - earlier for earlier, later in zip([since, *times], times, strict=False)]
