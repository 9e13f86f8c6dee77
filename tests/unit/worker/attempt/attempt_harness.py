"""A harness with a worker in it: attempts over fakes."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from axon.event_log.log import Status
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.testing.fences import FakeFences
from axon.testing.payloads import FakePayloadStore
from tests.support.sdk_events import validate_stream
from tests.unit.axon.responses.service_harness import DEADLINES, ResponseHarness
from tests.unit.worker.settings_samples import SETTINGS
from tests.unit.worker.tracing_stub import RecordedTracing
from worker.attempt.attempt import Attempt
from worker.attempt.context import AttemptContext
from worker.attempt.fence_watch import FenceWatch
from worker.attempt.runner import JobRunner
from worker.engines.protocol import Engine, EngineDeadError
from worker.metrics import WorkerMetrics
from worker.outcome import AttemptOutcome
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stages import Stages
from worker.shutdown import Shutdown

DEAD = EngineDeadError("gone")
FENCE_S = 0.2
"""Seconds between two reads of the fences of silent attempts."""
EVERY_TOKEN = FlushPolicy(first_s=1e-9, last_s=1e-9, steady_s=1.0, ramp_s=0.5)


class AttemptHarness(ResponseHarness):
    """A harness with a worker in it; time is the loop's. It is `clock_ms` when something ends."""

    def __init__(self, *, payloads: FakePayloadStore | None = None) -> None:
        super().__init__(payloads=payloads)
        self.clock_ms = 77
        self.shutdown = Shutdown()
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(registry=self.registry)
        self.tracing = RecordedTracing()

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric, None if it has no sample."""
        return self.registry.get_sample_value(name, labels)

    def context(
        self,
        engine: Engine,
        policy: FlushPolicy = EVERY_TOKEN,
        *,
        engine_hangs: Callable[[str], None] = lambda _: None,
        **sizes: int,
    ) -> AttemptContext:
        """`sizes` are those of the stages' queues, where they differ from the settings'."""
        settings = SETTINGS.model_copy(update=sizes)
        return AttemptContext(
            event_log=self.valkey,
            fence_watch=FenceWatch(fences=FakeFences(self.valkey), interval_s=FENCE_S),
            conversations=self.conversations,
            inputs=self.inputs,
            finisher=ResponseFinisher(
                history=self.history, turns=self.turns, clock_ms=lambda: self.clock_ms
            ),
            terminator=self.terminator,
            engine=engine,
            stages=Stages.of(settings, slots=engine.info().slots, metrics=self.metrics),
            flush_policy=policy,
            metrics=self.metrics,
            tracing=self.tracing,
            shutdown=self.shutdown,
            deadlines=DEADLINES,
            due=self.valkey.due,
            max_receives=SETTINGS.max_receives,
            engine_hangs=engine_hangs,
            clock_ms=lambda: self.clock_ms,
        )

    async def job(self, **fields: Any) -> Job:
        await self.submit(**fields)
        (job,) = self.jobs_sent()
        return job

    async def answered(self, job: Job) -> list[dict[str, Any]]:
        log = await self.valkey.read(job.response_id)
        return validate_stream(log, stream_id=job.stream_id)


async def attempt(job: Job, context: AttemptContext, *, untouched: bool = False) -> Status:
    """Attempt a job; return the status with which the response has ended.

    `untouched`: nobody has received the job before.
    """
    received = ReceivedJob(body="", receipt_handle="", receive_count=1 if untouched else 2)
    running = Attempt(job, received, context=context)
    result = await running.run()
    status = Status(running._transcript.response["status"])
    failed = status is Status.FAILED
    assert result.outcome is (AttemptOutcome.FAILED if failed else AttemptOutcome.COMPLETED)
    return status


async def outcome_of(job: Job, received: ReceivedJob, *, context: AttemptContext) -> AttemptOutcome:
    """Run a job as the consumer does; return the outcome of the attempt."""
    return (await JobRunner(context=context).run(job, received)).outcome


def text_of(decoded: list[dict[str, Any]]) -> str:
    text: str = decoded[-1]["response"]["output"][0]["content"][0]["text"]
    return text


async def until_logged(harness: AttemptHarness, job: Job, *, count: int) -> None:
    async with asyncio.timeout(5):
        while len(await harness.valkey.read(job.response_id)) < count:
            await asyncio.sleep(0)
