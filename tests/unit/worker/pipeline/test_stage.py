"""A stage in virtual time: its order, its bounds, and what cancelling leaves behind."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.virtual_time import now, run
from worker.metrics import WorkerMetrics
from worker.pipeline.stage import Stage, StageFullError


class StageHarness:
    """A stage, and calls that note when they begin and end."""

    def __init__(self, *, size: int = 3, concurrency: int = 1, patient: bool = False) -> None:
        self.registry = CollectorRegistry()
        metrics = WorkerMetrics(registry=self.registry).stage("infer", refuses=True)
        self.stage = Stage(
            "infer",
            size=size,
            slots=concurrency,
            metrics=metrics,
            blocks_when_full=patient,
            clock=now,
        )
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.most = 0

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"stage": "infer"} | labels)

    def call(self, name: Any, seconds: float = 1.0) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def work() -> Any:
            self.begun.append(name)
            self.most = max(self.most, self.stage.running)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.ended.append(name)
            return name

        return work

    async def run(self, call: Callable[[], Coroutine[Any, Any, Any]], *, priority: int = 0) -> Any:
        async with self.stage.slot(priority):
            return await call()

    async def start(
        self, name: Any, seconds: float = 1.0, *, priority: int = 0
    ) -> asyncio.Task[Any]:
        """Start a caller; it holds or waits for a slot when this returns."""
        call = self.call(name, seconds)
        task = asyncio.create_task(self.run(call, priority=priority))
        await asyncio.sleep(0)
        return task

    async def is_free(self, concurrency: int) -> bool:
        """Return whether the stage is empty and all its slots can be taken."""
        assert (self.stage.depth, self.stage.running) == (0, 0)
        self.begun.clear()
        tasks = [await self.start(number) for number in range(concurrency)]
        await asyncio.sleep(0)
        everything = len(self.begun) == concurrency and self.stage.busy
        await asyncio.gather(*tasks)
        return everything


def test_stage_counts_results_and_errors() -> None:
    async def story() -> None:
        harness = StageHarness()
        assert await harness.run(harness.call("a", 2)) == "a"

        async def fail() -> None:
            await asyncio.sleep(3)
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            await harness.run(fail)
        assert harness.metric("axon_requests_processed_total") == 1
        assert harness.metric("axon_errors_total", error="ValueError") == 1
        assert harness.metric("axon_stage_latency_seconds_sum") == pytest.approx(5)
        assert harness.metric("axon_stage_latency_seconds_count") == 2
        assert await harness.is_free(1)

    run(story())


def test_stage_keeps_the_callers_context() -> None:
    async def story() -> None:
        name: ContextVar[str] = ContextVar("name")
        seen = []

        async def look() -> None:
            seen.append(name.get())

        async def caller(value: str) -> None:
            name.set(value)
            await harness.run(look)

        harness = StageHarness()
        await asyncio.gather(caller("a"), caller("b"))
        assert seen == ["a", "b"]

    run(story())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_stage_bounds_running_callers_and_keeps_the_others_in_order(concurrency: int) -> None:
    async def story() -> None:
        harness = StageHarness(size=10, concurrency=concurrency)
        tasks = [await harness.start(number) for number in range(10)]
        assert harness.metric("axon_queue_depth") == 10 - concurrency
        await asyncio.gather(*tasks)
        assert harness.begun == list(range(10))
        assert harness.most == concurrency
        assert now() == pytest.approx(-(-10 // concurrency))
        waited = [number // concurrency for number in range(10)]
        assert harness.metric("axon_queue_wait_seconds_sum") == pytest.approx(sum(waited))
        assert harness.metric("axon_stage_latency_seconds_sum") == pytest.approx(10)

    run(story())


def test_stage_prefers_higher_priorities_and_keeps_the_order_of_equal_ones() -> None:
    async def story() -> None:
        harness = StageHarness(size=10)
        order = [("first", 0), ("b", 0), ("f", -1), ("a", 1), ("c", 0), ("z", 1)]
        tasks = [await harness.start(name, priority=priority) for name, priority in order]
        await asyncio.gather(*tasks)
        assert harness.begun == ["first", "a", "z", "b", "c", "f"]

    run(story())


def test_stage_with_a_full_queue_refuses_at_once() -> None:
    async def story() -> None:
        harness = StageHarness(size=2)
        tasks = [await harness.start(number) for number in range(3)]
        with pytest.raises(StageFullError, match="infer") as full:
            await harness.run(harness.call("late"))
        assert full.value.stage == "infer"
        assert now() == 0
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        assert await harness.is_free(1)

    run(story())


def test_stage_gives_a_priority_caller_the_place_of_the_newest_ordinary_one() -> None:
    async def story() -> None:
        harness = StageHarness(size=3)
        tasks = {name: await harness.start(name) for name in ("runs", "old", "new")}
        tasks["flex"] = await harness.start("flex", priority=-1)
        for name in ("p", "q", "r"):
            tasks[name] = await harness.start(name, priority=1)
        with pytest.raises(StageFullError):
            await harness.run(harness.call("s"), priority=1)
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        refused = [
            name
            for name, result in zip(tasks, results, strict=True)
            if isinstance(result, StageFullError)
        ]
        assert refused == ["old", "new", "flex"]
        assert harness.begun == ["runs", "p", "q", "r"]
        assert await harness.is_free(1)

    run(story())


def test_stage_that_blocks_when_full_lets_callers_wait_for_room() -> None:
    async def story() -> None:
        harness = StageHarness(size=2, patient=True)
        tasks = [await harness.start(number) for number in range(7)]
        assert harness.metric("axon_queue_depth") == 2
        tasks[3].cancel()
        tasks[5].cancel()
        await asyncio.sleep(0)
        assert harness.stage.depth == 2
        await asyncio.gather(*tasks, return_exceptions=True)
        assert harness.begun == [0, 1, 2, 4, 6]
        assert now() == pytest.approx(5)
        assert await harness.is_free(1)

    run(story())


class TestStageCancelled:
    def test_ends_the_work_before_it_frees_the_slot(self) -> None:
        async def story() -> None:
            harness = StageHarness()

            async def slow_to_end() -> None:
                try:
                    await asyncio.sleep(10)
                finally:
                    await asyncio.sleep(2)
                    harness.ended.append("slow")

            task = asyncio.create_task(harness.run(slow_to_end))
            waiting = await harness.start("next")
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert harness.ended == ["slow"]
            assert await waiting == "next"
            assert now() == pytest.approx(1 + 2 + 1)
            assert harness.metric("axon_requests_processed_total") == 1
            assert await harness.is_free(1)

        run(story())

    def test_leaves_the_queue_while_it_waits(self) -> None:
        async def story() -> None:
            harness = StageHarness(size=2)
            tasks = [await harness.start(number) for number in range(3)]
            tasks[1].cancel()
            await asyncio.sleep(0)
            assert harness.stage.depth == 1
            tasks.append(await harness.start(3))
            await asyncio.gather(*tasks, return_exceptions=True)
            assert harness.begun == [0, 2, 3]
            assert await harness.is_free(1)

        run(story())

    @pytest.mark.parametrize("first", ["turn", "cancel"])
    def test_takes_no_slot_if_its_turn_comes_at_the_same_moment(self, first: str) -> None:
        async def story() -> None:
            harness = StageHarness(size=5)
            gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            async def until_gate() -> None:
                await gate

            running = asyncio.create_task(harness.run(until_gate))
            await asyncio.sleep(0)
            unlucky, lucky = await harness.start("unlucky"), await harness.start("lucky")
            gate.set_result(None)
            steps = 0
            while not running.done():  # then its turn was given, but it has not begun
                if first == "cancel" and steps == 0:
                    unlucky.cancel()
                await asyncio.sleep(0)
                steps += 1
            unlucky.cancel()
            assert await lucky == "lucky"
            assert harness.begun == ["lucky"]
            assert unlucky.cancelled()
            assert await harness.is_free(1)

        run(story())

    def test_stays_cancelled_if_it_is_displaced_at_the_same_moment(self) -> None:
        async def story() -> None:
            harness = StageHarness(size=1)
            running, ordinary = await harness.start("runs"), await harness.start("ordinary")
            urgent = asyncio.create_task(harness.run(harness.call("urgent"), priority=1))
            ordinary.cancel()
            assert (await running, await urgent) == ("runs", "urgent")
            assert ordinary.cancelled()
            assert await harness.is_free(1)

        run(story())

    def test_ends_running_and_waiting_work_at_the_close(self) -> None:
        async def story() -> None:
            harness = StageHarness(size=2, concurrency=2, patient=True)
            tasks = [await harness.start(number, 10) for number in range(6)]
            await asyncio.sleep(1)
            await harness.stage.close()
            await asyncio.sleep(0)
            assert all(task.cancelled() for task in tasks)
            assert harness.begun == sorted(harness.ended) == [0, 1]
            assert now() == 1
            assert await harness.is_free(2)

        run(story())


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "arrive", "arrive", "cancel", "pass", "turn"]),
        st.integers(-1, 1),
        st.sampled_from([0.0, 0.5, 1.0, 2.5]),
    ),
    max_size=60,
)


class StageModel(StageHarness):
    """Plays steps, and checks after each that no bound is broken."""

    def __init__(self, *, size: int, concurrency: int, patient: bool) -> None:
        super().__init__(size=size, concurrency=concurrency, patient=patient)
        self.size, self.concurrency = size, concurrency
        self.tasks: list[asyncio.Task[Any]] = []

    async def play(self, steps: Sequence[Step]) -> None:
        for what, number, seconds in steps:
            match what:
                case "arrive":
                    name = (-number, len(self.tasks))
                    self.tasks.append(await self.start(name, seconds, priority=number))
                case "cancel" if self.tasks:
                    self.tasks[(number * 7) % len(self.tasks)].cancel()
                case "turn":
                    await asyncio.sleep(0)
                case _:
                    await asyncio.sleep(seconds)
            assert self.stage.running <= self.concurrency
            assert self.stage.depth <= self.size

    def outcome(self, task: asyncio.Task[Any]) -> str:
        if task.cancelled():
            return "cancelled"
        return "refused" if task.exception() else "done"


@settings(deadline=None, max_examples=300)
@given(
    steps=STEPS,
    size=st.integers(1, 4),
    concurrency=st.integers(1, 3),
    patient=st.booleans(),
)
def test_stage_loses_no_caller_and_no_slot(
    steps: Sequence[Step], size: int, concurrency: int, patient: bool
) -> None:
    async def story() -> None:
        model = StageModel(size=size, concurrency=concurrency, patient=patient)
        await model.play(steps)
        await asyncio.gather(*model.tasks, return_exceptions=True)
        outcomes = [model.outcome(task) for task in model.tasks]
        if patient:
            assert "refused" not in outcomes
        for task, outcome in zip(model.tasks, outcomes, strict=True):
            if outcome == "done":
                assert task.result() in model.ended
            elif outcome == "refused":
                assert isinstance(task.exception(), StageFullError)
        begun = model.begun.copy()
        assert len(set(begun)) == len(begun)
        refused = {
            (rank, index) for (rank, index) in _names(model, steps) if outcomes[index] == "refused"
        }
        assert not refused & set(begun)
        assert sorted(model.ended) == sorted(begun)
        assert model.metric("axon_requests_processed_total") == outcomes.count("done")
        assert model.most <= concurrency
        assert await model.is_free(concurrency)

    run(story())


def _names(model: StageModel, steps: Sequence[Step]) -> list[tuple[int, int]]:
    arrived = [number for what, number, _ in steps if what == "arrive"]
    assert len(arrived) == len(model.tasks)
    return [(-number, index) for index, number in enumerate(arrived)]


@settings(deadline=None, max_examples=100)
@given(
    arrivals=st.lists(st.integers(-1, 1), max_size=20),
    size=st.integers(1, 25),
    concurrency=st.integers(1, 3),
    patient=st.booleans(),
)
def test_stage_admits_waiters_by_priority_then_in_order(
    arrivals: Sequence[int], size: int, concurrency: int, patient: bool
) -> None:
    """All arrive before anything ends: what a bounded, stable sort by priority would keep."""

    async def story() -> None:
        model = StageModel(size=size, concurrency=concurrency, patient=patient)
        await model.play([("arrive", priority, 1.0) for priority in arrivals])
        await asyncio.gather(*model.tasks, return_exceptions=True)
        names = [(-priority, index) for index, priority in enumerate(arrivals)]
        running, waiting = names[:concurrency], sorted(names[concurrency:])
        kept = waiting if patient and size >= len(waiting) else waiting[:size]
        if not patient or size >= len(waiting):
            assert model.begun == running + kept
        else:
            assert sorted(model.begun) == sorted(names)

    run(story())
