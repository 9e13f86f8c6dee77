"""Engines that hang, and the worker that they are in, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from typing_extensions import override

from axon.event_log.log import Status
from axon.jobs import Job
from tests.support.virtual_time import now, pause_process, run
from tests.unit.worker.attempt.attempt_harness import AttemptHarness
from tests.unit.worker.hung_engine_stub import HungEngine
from worker.attempt.runner import JobRunner
from worker.engines.protocol import (
    EngineDeadError,
    EngineError,
    GenerateRequest,
    Prompt,
    Sampling,
    TokenChunk,
)
from worker.jobs.consumer import Consumer
from worker.models.bounded_calls import EngineHangsError
from worker.models.host import ModelHost, start_or_close
from worker.models.watchdog import EngineWatchdog

STALL_S = 60.0


async def hosted(engine: HungEngine) -> ModelHost:
    host = ModelHost(slots=4, stop_timeout_s=20.0, stall_s=STALL_S)
    await host.load("echo", 1, engine)
    host.set_pending([])
    return host


async def generate(host: ModelHost, request_id: str = "r", *, count: int = 1000) -> None:
    request = GenerateRequest(
        request_id=request_id,
        model="echo",
        prompt=Prompt((1,), f"count to {count}"),
        sampling=Sampling(max_tokens=5000),
    )
    async for _ in host.generate(request):
        pass


class WorkerHarness:
    """A consumer over a host, with a watchdog, as a worker has them."""

    def __init__(self, harness: AttemptHarness, host: ModelHost) -> None:
        self.queue = harness.jobs
        self.consumer = Consumer(
            queue=self.queue,
            runner=JobRunner(
                context=harness.context(host, engine_hangs=lambda reason: self.report(reason))
            ),
            slots=4,
            visibility_timeout_s=30,
            metrics=harness.metrics,
            tracing=harness.tracing,
            shutdown=harness.shutdown,
            load_changed=lambda _: None,
            refused=lambda _: None,
        )
        self.watchdog = EngineWatchdog(engines=host, stop=self.consumer.stop)

    def report(self, reason: str) -> None:
        self.watchdog.report(reason)

    async def serve(self) -> None:
        watching = asyncio.create_task(self.watchdog.run())
        try:
            await self.consumer.consume()
        finally:
            watching.cancel()


@pytest.mark.parametrize("stubborn", [False, True])
def test_watchdog_of_a_hung_engine_releases_all_jobs_and_ends_the_worker(stubborn: bool) -> None:
    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        engine = HungEngine(stubborn=stubborn)
        worker = WorkerHarness(harness, await hosted(engine))
        ids = [await harness.submit(input="count to 1000") for _ in range(6)]
        serving = asyncio.create_task(worker.serve())
        await asyncio.sleep(10.5)
        engine.hangs.set()
        with pytest.raises(EngineDeadError, match="no token for"):
            await serving
        assert now() < 10.5 + STALL_S + 15
        assert not worker.queue.in_flight  # released, and not received again
        assert worker.consumer.running == 0
        for response_id in ids:
            assert not (await harness.status(response_id)).terminal
        # Another worker continues from the log.
        jobs: list[Job] = harness.jobs_sent()
        assert sorted(job.response_id for job in jobs) == sorted(ids)

    run(story())


def test_watchdog_ends_the_worker_whose_engine_does_not_end_a_cancelled_generation() -> None:
    """The other generations get their tokens, so the engine as a whole does not stall."""

    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        engine = HungEngine(stubborn=True)
        worker = WorkerHarness(harness, await hosted(engine))
        response_id = await harness.submit(input="count to 1000")
        serving = asyncio.create_task(worker.serve())
        await asyncio.sleep(5.5)
        engine.hangs.set()
        await asyncio.sleep(5)
        await harness.terminator.end(response_id, Status.CANCELLED)
        with pytest.raises(EngineDeadError, match="does not end the generation"):
            await serving
        assert now() < 10.5 + 15

    run(story())


def test_watchdog_of_a_process_that_was_stopped_gives_the_engine_time() -> None:
    async def story() -> None:
        engine = HungEngine()
        engine.hangs.set()
        host = await hosted(engine)
        generating = asyncio.create_task(generate(host))
        died = list[float]()
        watching = asyncio.create_task(
            EngineWatchdog(engines=host, stop=lambda _: died.append(now())).run()
        )
        await asyncio.sleep(5.5)
        pause_process(10 * STALL_S)
        continued = now()
        assert not await host.health()  # asked before the watchdog's first look
        await asyncio.sleep(1)
        assert await host.health()
        await asyncio.sleep(STALL_S + 2)
        assert len(died) == 1
        assert STALL_S <= died[0] - continued <= STALL_S + 2
        watching.cancel()
        generating.cancel()

    run(story())


def test_host_does_not_take_an_idle_or_slow_engine_for_hung() -> None:
    async def story() -> None:
        engine = HungEngine()
        host = await hosted(engine)
        await asyncio.sleep(10 * STALL_S)
        assert not host.hangs()
        generating = asyncio.create_task(generate(host))
        await asyncio.sleep(10 * STALL_S)
        assert not host.hangs()
        generating.cancel()

    run(story())


def test_host_takes_an_engine_for_hung_though_its_generations_are_cancelled_and_replaced() -> None:
    async def story() -> None:
        engine = HungEngine()
        engine.hangs.set()
        host = await hosted(engine)
        generating = [asyncio.create_task(generate(host, "0"))]
        for number in range(1, 7):
            await asyncio.sleep(STALL_S / 5)
            generating.append(asyncio.create_task(generate(host, str(number))))
            await asyncio.sleep(0)
            generating[-2].cancel()
        await asyncio.sleep(1)
        assert host.hangs()
        assert not await host.health()
        generating[-1].cancel()

    run(story())


def test_host_does_not_take_an_engine_for_hung_that_fails_requests() -> None:
    class Failing(HungEngine):
        @override
        async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
            await asyncio.sleep(STALL_S - 5)
            if request.request_id:
                raise EngineError("The upstream sent nothing.")
            yield TokenChunk("", ())

    async def story() -> None:
        host = await hosted(Failing())
        first = asyncio.create_task(generate(host, "1"))
        await asyncio.sleep(20)
        second = asyncio.create_task(generate(host, "2"))
        await asyncio.sleep(STALL_S - 10)
        assert first.done()
        assert not host.hangs()
        await asyncio.wait([first, second])
        for task in (first, second):
            assert isinstance(task.exception(), EngineError)

    run(story())


def test_host_reports_an_engine_that_does_not_close() -> None:
    async def story() -> None:
        engine = HungEngine(stubborn=True)
        host = await hosted(engine)
        generating = asyncio.create_task(generate(host))
        await asyncio.sleep(1)
        engine.hangs.set()
        host.unload("echo")
        draining = asyncio.create_task(host.drain_unloaded())
        await draining
        assert now() == pytest.approx(1 + 20 + 5 + 20)
        assert "did not close" in host.hangs()[0]
        generating.cancel()

    run(story())


def test_host_that_closes_waits_for_no_engine_longer_than_its_limit() -> None:
    async def story() -> None:
        engine = HungEngine(stubborn=True)
        engine.hangs.set()
        host = await hosted(engine)
        await host.close()
        assert now() == pytest.approx(20.0)
        assert "did not close" in host.hangs()[0]

    run(story())


def test_host_gives_up_an_engine_that_does_not_start() -> None:
    class Loading(HungEngine):
        @override
        async def start(self) -> None:
            await asyncio.Event().wait()

    async def story() -> None:
        engine = Loading()
        with pytest.raises(EngineHangsError, match="did not start within 100 s"):
            await start_or_close(engine, within_s=100)
        assert now() == pytest.approx(100.0)
        assert engine.closed == 1

    run(story())
