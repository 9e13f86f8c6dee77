"""A flood of jobs upon one worker, in virtual time and in little memory of its own."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from math import ceil

import psutil
from prometheus_client import CollectorRegistry

from axon.conversations import Conversations, Turn
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, Status
from axon.jobs import Job, JobQueue, NotExtended, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.responses.terminator import ResponseTerminator
from axon.serialization import loads
from axon.testing.event_log import FakeValkey
from axon.testing.stores import FakeHistory, FakeTurns
from axon.tracing import NoTracing
from tests.support.virtual_time import now
from tests.unit.axon.samples import a_job
from tests.unit.worker.attempt.attempt_harness import EVERY_TOKEN
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from tests.unit.worker.settings_samples import SETTINGS
from worker.attempt.context import AttemptContext
from worker.attempt.fence_watch import FenceWatch
from worker.attempt.runner import JobRunner
from worker.engines.protocol import GenerateRequest, TokenChunk
from worker.jobs.consumer import Consumer
from worker.metrics import WorkerMetrics
from worker.outcome import AttemptResult
from worker.pipeline.stages import Stages
from worker.sagemaker.answer_log import NoFences
from worker.shutdown import Shutdown

SLOTS = 4  # of the scripted engine
VISIBILITY_S = 30
_TEMPLATE = a_job(store=False, input="hello " * 50)


class Queue(JobQueue):
    """Ten jobs a receive, each receive takes 10 ms; what is released comes again when it may."""

    def __init__(self, count: int, *, max_receives: int) -> None:
        self.receives = [0] * count
        self.deleted = 0
        self.dead: list[int] = []
        self._max_receives = max_receives
        self._visible = deque(range(count))
        self._delayed: dict[int, list[int]] = {}  # by the second in which they become visible
        self._body = _TEMPLATE.encode().decode()

    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        await asyncio.sleep(0.01)
        while not self._visible:
            await asyncio.sleep(0.01)
            for second in [at for at in self._delayed if at <= now()]:
                self._visible += self._delayed.pop(second)
        return [
            self._delivery(self._visible.popleft())
            for _ in range(min(limit, 10, len(self._visible)))
        ]

    async def delete(self, received: ReceivedJob) -> None:
        self.deleted += 1

    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        if timeout_s < VISIBILITY_S:  # else it is the heartbeat
            at = ceil(now()) + timeout_s
            self._delayed.setdefault(at, []).extend(int(each.receipt_handle) for each in messages)
        return ()

    def _delivery(self, index: int) -> ReceivedJob:
        self.receives[index] += 1
        if self.receives[index] > self._max_receives:
            self.dead.append(index)
        return ReceivedJob(
            self._body.replace(_TEMPLATE.response_id, f"resp_{index:032x}"),
            receipt_handle=str(index),
            receive_count=self.receives[index],
            message_id=str(index),
        )


class Log(FakeValkey):
    """Keeps of each response only how it ended."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.ends = [""] * count
        self.epochs = [0] * count
        self.completed_at: list[float] = []

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        index = int(response_id[5:], 16)
        assert not self.ends[index]
        self.epochs[index] += 1
        return Claim(epoch=self.epochs[index], next_sequence=2)

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
        journal: Sequence[JournalRecord] = (),
        nonce: str = "",
        predecessor: str = "",
        complete: bool = True,
    ) -> str:
        index = int(response_id[5:], 16)
        assert epoch == self.epochs[index]
        assert not self.ends[index]
        if status.terminal:
            last = loads(events[-1].data)
            assert last["type"] == f"response.{status}"
            error = last["response"]["error"]
            self.ends[index] = error["type"] if error else "completed"
            if not error:
                self.completed_at.append(now())
        return "connection"


class SlowEngine(ScriptedEngine):
    """An answer takes a second, and leaves nothing behind."""

    def __init__(self) -> None:
        super().__init__(["a ", "b"], token_s=0.5)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        async for chunk in super().generate(request):
            yield chunk
        self.requests.clear()
        self.messages.clear()


class ForgetfulTurns(FakeTurns):
    async def put(self, turns: Sequence[Turn]) -> None: ...


class FloodHarness:
    """`count` jobs at once. `outcomes` counts attempts; `memory` is the process's, each second."""

    def __init__(self, count: int, *, prefetch: int, **sizes: int) -> None:
        settings = SETTINGS.model_copy(update=sizes)
        self.queue = Queue(count, max_receives=settings.max_receives)
        self.log = Log(count)
        self.registry = CollectorRegistry()
        self.most_running = 0
        self.outcomes: Counter[str] = Counter()
        self.memory: list[int] = []
        metrics, shutdown = WorkerMetrics(registry=self.registry), Shutdown()
        self.stages = Stages.of(settings, slots=SLOTS, metrics=metrics)
        self.engine = SlowEngine()
        turns = ForgetfulTurns()
        finisher = ResponseFinisher(history=FakeHistory(), turns=turns)
        context = AttemptContext(
            event_log=self.log,
            fence_watch=FenceWatch(fences=NoFences(), interval_s=0.2),
            conversations=Conversations(cache=turns, database=turns),
            finisher=finisher,
            terminator=ResponseTerminator(event_log=self.log, finisher=finisher),
            engine=self.engine,
            stages=self.stages,
            flush_policy=EVERY_TOKEN,
            metrics=metrics,
            tracing=NoTracing(),
            shutdown=shutdown,
            deadlines=settings.deadlines,
            max_receives=settings.max_receives,
            clock_ms=lambda: _TEMPLATE.created_ms + int(now() * 1000),
        )
        self._runner = JobRunner(context=context)
        self.consumer = Consumer(
            queue=self.queue,
            runner=self,
            slots=SLOTS,
            prefetch=prefetch,
            visibility_timeout_s=VISIBILITY_S,
            metrics=metrics,
            tracing=NoTracing(),
            shutdown=shutdown,
            load_changed=self._load_changed,
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0

    async def pass_by(self) -> None:
        """Work until every job has ended."""
        count = len(self.queue.receives)
        process = psutil.Process()
        consuming = asyncio.create_task(self.consumer.consume())
        while self.queue.deleted + len(self.queue.dead) < count:
            await asyncio.sleep(1)
            self.memory.append(process.memory_info().rss)
        consuming.cancel()
        with suppress(asyncio.CancelledError):
            await consuming

    async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
        result = await self._runner.run(job, received)
        self.outcomes[result.outcome.value] += 1
        return result

    def _load_changed(self, running: int) -> None:
        self.most_running = max(self.most_running, running)
