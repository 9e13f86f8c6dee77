"""A fleet of workers in virtual time, in which prompts kill the workers that run them."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

from prometheus_client import CollectorRegistry
from typing_extensions import override

from axon.event_log.log import Status
from axon.jobs import Job, NotExtended, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.testing.attempts import FakeQuarantinePermits
from axon.testing.event_log import FakeValkey
from axon.testing.fences import FakeFences
from axon.testing.stores import FakeJobQueue
from axon.tracing import NoTracing
from tests.support.virtual_time import now
from tests.unit.axon.responses.service_harness import DEADLINES, ResponseHarness
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from tests.unit.worker.settings_samples import FLUSH_POLICY, SETTINGS
from worker.attempt.budget import AttemptBudget
from worker.attempt.context import AttemptContext
from worker.attempt.fence_watch import FenceWatch
from worker.attempt.runner import JobRunner
from worker.engines.protocol import GenerateRequest, TokenChunk
from worker.jobs.consumer import Consumer
from worker.metrics import WorkerMetrics
from worker.outcome import AttemptResult
from worker.pipeline.stages import Stages
from worker.quarantine import Quarantine
from worker.shutdown import Shutdown

SLOTS = 4  # of the scripted engine, unless a test has more
NOTICED_S = 3.0
"""Seconds after which a dead worker's messages are visible."""
RESTART_S = 2.0
PREFILL_S, POISON_S = 1.0, 0.5
"""Poison kills its worker before its peers have their first token."""


class Queue(FakeJobQueue):
    """Has visibility timeouts, and dead letters; delays what is released with a delay."""

    def __init__(self) -> None:
        super().__init__()
        self.most_receives = 0
        self.dead_letters: list[ReceivedJob] = []
        self._visible_at: dict[str, float] = {}

    @override
    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        for each in messages:
            self._hide(each, timeout_s)
        return []

    def _hide(self, received: ReceivedJob, seconds: float) -> None:
        """Make a message visible after some seconds, unless that is changed or it is deleted."""
        self._visible_at[received.receipt_handle] = at = now() + seconds
        asyncio.get_running_loop().call_later(seconds, self._show, received, at)

    def _show(self, received: ReceivedJob, at: float) -> None:
        due = self._visible_at.get(received.receipt_handle) == at
        if due and received.receipt_handle in self.in_flight:
            del self.in_flight[received.receipt_handle]
            if received.receive_count >= SETTINGS.max_receives:
                self.dead_letters.append(received)
            else:
                self._visible.put_nowait(received)

    @override
    def _hand_out(self, received: ReceivedJob) -> ReceivedJob:
        handed = super()._hand_out(received)
        self._hide(handed, SETTINGS.visibility_timeout_s)
        self.most_receives = max(self.most_receives, handed.receive_count)
        return handed


class FatalEngine(ScriptedEngine):
    """Answers after a prefill; a prompt with the word "poison" kills the worker."""

    def __init__(self, worker: "FleetWorker", tokens: int) -> None:
        super().__init__([f"{number} " for number in range(tokens)], token_s=0.1)
        self._worker = worker

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        if "poison" in request.prompt.text:
            await asyncio.sleep(POISON_S)
            self._worker.die()
            await asyncio.Event().wait()
        await asyncio.sleep(self._worker.prefill_s)
        async for chunk in super().generate(request):
            yield chunk


class Mortal:
    """Passes on the calls of a worker; once that is dead, none of them returns."""

    def __init__(self, worker: "FleetWorker", subject: object) -> None:
        self._worker = worker
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._subject, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self._check()
            result = await method(*arguments, **named)
            self._check()
            return result

        return call

    def _check(self) -> None:
        if self._worker.dead:
            raise asyncio.CancelledError


class FleetWorker:
    """One process of a worker."""

    def __init__(self, fleet: "FleetHarness", incarnation: str) -> None:
        self.dead = False
        self.incarnation = incarnation
        self.prefill_s = fleet.prefill_s
        self.shutdown = Shutdown()
        self._fleet = fleet
        valkey = cast("FakeValkey", Mortal(self, fleet.responses.valkey))
        self.quarantine = Quarantine(
            permits=cast("FakeQuarantinePermits", Mortal(self, fleet.permits)),
            shutdown=self.shutdown,
            incarnation=incarnation,
        )
        metrics = WorkerMetrics(registry=CollectorRegistry())
        responses = fleet.responses
        engine = FatalEngine(self, fleet.tokens)
        context = AttemptContext(
            event_log=valkey,
            fence_watch=FenceWatch(fences=FakeFences(valkey), interval_s=0.2),
            conversations=responses.conversations,
            finisher=ResponseFinisher(history=responses.history, turns=responses.turns),
            terminator=responses.terminator,
            engine=engine,
            stages=Stages.of(SETTINGS, slots=fleet.slots, metrics=metrics),
            flush_policy=FLUSH_POLICY,
            metrics=metrics,
            tracing=NoTracing(),
            shutdown=self.shutdown,
            deadlines=DEADLINES,
            max_receives=SETTINGS.max_receives,
            budget=AttemptBudget(
                notes=cast("Any", Mortal(self, responses.valkey.attempt_notes)),
                quarantine=self.quarantine,
                max_attempts=SETTINGS.max_attempts,
                slots=fleet.slots,
            ),
            clock_ms=lambda: fleet.created_ms + int(now() * 1000),
        )
        self._runner = JobRunner(context=context)
        self.consumer = Consumer(
            queue=cast("Queue", Mortal(self, fleet.queue)),
            runner=self,
            slots=fleet.slots,
            visibility_timeout_s=SETTINGS.visibility_timeout_s,
            metrics=metrics,
            tracing=NoTracing(),
            shutdown=self.shutdown,
            load_changed=lambda _: None,
            quarantine=self.quarantine,
        )
        self._consuming = asyncio.create_task(self.consumer.consume())

    async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
        result = await self._runner.run(job, received)
        self._fleet.outcomes[result.outcome.value] += 1
        return result

    async def leave(self) -> None:
        """End as after SIGTERM: what runs is handed over."""
        self._consuming.cancel()
        await asyncio.wait([self._consuming])
        await self.consumer.drain(0.1)
        self._fleet.replace(self)

    def die(self) -> None:
        """End as after SIGKILL: nothing that this worker calls has an effect any more."""
        self.dead = True
        held = self.consumer.held
        for task in (self._consuming, *self.consumer._jobs):
            task.cancel()
        self._fleet.bury(self, held)


class FleetHarness:
    """`count` workers, which are started again after they die."""

    def __init__(
        self, count: int, *, tokens: int = 5, slots: int = SLOTS, prefill_s: float = PREFILL_S
    ) -> None:
        self.slots = slots
        self.prefill_s = prefill_s
        self.responses = ResponseHarness()
        self.responses.now = 0.0
        self.queue = self.responses.jobs = Queue()
        self.responses.alias({})
        self.permits = FakeQuarantinePermits(clock=now)
        self.tokens = tokens
        self.deaths = 0
        self.outcomes: Counter[str] = Counter()
        self.most_in_quarantine = 0
        self.created_ms = 0
        self._count = count
        self.workers: list[FleetWorker] = []

    async def start(self) -> None:
        await self.responses.begin()
        for _ in range(self._count):
            self._start()

    async def submit(self, text: str) -> str:
        response_id = await self.responses.submit(input=text)
        meta = await self.responses.valkey.describe(response_id)
        assert meta is not None
        self.created_ms = self.created_ms or Job.decode(meta.job).created_ms
        return response_id

    async def ended(self, response_id: str, *, within_s: float) -> Status:
        """Wait until a response has ended; return how."""
        async with asyncio.timeout(within_s):
            while not (status := await self.responses.status(response_id)).terminal:
                self.most_in_quarantine = max(
                    self.most_in_quarantine, sum(w.quarantine.active for w in self.workers)
                )
                await asyncio.sleep(0.05)
        return status

    async def error(self, response_id: str) -> dict[str, Any]:
        """Return the error of a failed response, whose events are valid."""
        error: dict[str, Any] = (await self.responses.events(response_id))[-1]["response"]["error"]
        return error

    async def text(self, response_id: str) -> str:
        """Return the text of a response, whose events are valid."""
        last = (await self.responses.events(response_id))[-1]
        text: str = last["response"]["output"][0]["content"][0]["text"]
        return text

    def bury(self, worker: FleetWorker, held: Sequence[ReceivedJob]) -> None:
        """Release a dead worker's messages in time, and start its successor."""
        self.deaths += 1
        self.workers.remove(worker)
        loop = asyncio.get_running_loop()
        loop.call_later(NOTICED_S, self._notice, worker.incarnation, list(held))
        loop.call_later(RESTART_S, self._start)

    async def until_running(self, worker: FleetWorker) -> None:
        """Wait until a worker runs a job."""
        while not worker.consumer.running:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)

    def replace(self, worker: FleetWorker) -> None:
        """Start another worker in place of one that has ended."""
        self.workers.remove(worker)
        self._start()

    def _notice(self, incarnation: str, held: Sequence[ReceivedJob]) -> None:
        self.responses.valkey.dead_workers.add(incarnation)
        for each in held:
            self.queue._hide(each, 0)

    def _start(self) -> None:
        self.workers.append(FleetWorker(self, f"w{len(self.workers)}:{self.deaths}"))
