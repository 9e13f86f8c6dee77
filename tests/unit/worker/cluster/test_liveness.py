"""Liveness of workers among peers, in virtual time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from prometheus_client import CollectorRegistry
from typing_extensions import override

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import NotExtended, ReceivedJob
from axon.testing.stores import FakeJobQueue
from axon.testing.worker_beats import FakeWorkerBeats
from tests.support.virtual_time import now, run
from worker.cluster.liveness import WorkerLiveness
from worker.cluster.peer_watch import GRACE_S, PeerWatch
from worker.metrics import WorkerMetrics

JOB = ReceivedJob(body="", receipt_handle="r", receive_count=1, message_id="m")


class Queue(FakeJobQueue):
    """Notes when which messages were released."""

    def __init__(self) -> None:
        super().__init__()
        self.released: list[tuple[float, str]] = []
        self.refuse: Exception | None = None
        self.failures: dict[str, UnavailableError] = {}

    @override
    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        assert timeout_s == 0
        if self.refuse:
            raise self.refuse
        failed = [
            NotExtended(each, error)
            for each in messages
            if (error := self.failures.get(each.receipt_handle))
        ]
        self.released += [
            (now(), each.receipt_handle)
            for each in messages
            if each.receipt_handle not in self.failures
        ]
        return failed


class ClusterHarness:
    """Workers over one directory and one queue."""

    def __init__(self) -> None:
        self.beats = FakeWorkerBeats()
        self.queue = Queue()
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(registry=self.registry)
        self.held: dict[str, list[ReceivedJob]] = {}
        self.workers: dict[str, WorkerLiveness] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, *, jobs: int = 0) -> None:
        held = self.held[name] = [a_job(f"{name}-{number:03}") for number in range(jobs)]
        self.workers[name] = WorkerLiveness(
            incarnation=name,
            beats=self.beats,
            queue=self.queue,
            held=lambda: held,
            metrics=self.metrics,
            watch=PeerWatch(incarnation=name, clock=now),
        )
        self._running[name] = asyncio.create_task(self.workers[name].run())

    def receive(self, name: str, handle: str) -> None:
        """Add a job to those of a worker."""
        self.held[name].append(a_job(handle))
        self.workers[name].jobs_changed()

    async def kill(self, name: str) -> None:
        task = self._running.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def end(self) -> None:
        for name in list(self._running):
            await self.kill(name)

    @property
    def released(self) -> list[str]:
        return sorted(handle for _, handle in self.queue.released)


def a_job(handle: str) -> ReceivedJob:
    return replace(JOB, receipt_handle=handle, message_id=f"m-{handle}")


def test_liveness_releases_all_jobs_of_a_dead_peer_within_three_seconds() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        for name in ("a", "b", "c"):
            harness.start(name, jobs=150 if name == "a" else 2)
        await asyncio.sleep(10.2)
        assert not harness.released
        harness.receive("a", "last")
        await asyncio.sleep(0.06)
        await harness.kill("a")
        killed = now()
        await asyncio.sleep(10)
        assert harness.released == sorted(j.receipt_handle for j in harness.held["a"])
        assert all(at - killed <= 3 for at, _ in harness.queue.released)
        assert (await harness.beats.values()).keys() == {"b", "c"}
        assert harness.registry.get_sample_value("axon_dead_peer_jobs_total") == 151
        await harness.end()

    run(story())


def test_liveness_of_a_successor_releases_what_the_lone_worker_held() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a", jobs=3)
        await asyncio.sleep(1)
        await harness.kill("a")
        await asyncio.sleep(10)
        began = now()
        harness.start("b")
        await asyncio.sleep(5)
        assert harness.released == ["a-000", "a-001", "a-002"]
        assert all(at - began <= 3 for at, _ in harness.queue.released)
        await harness.end()

    run(story())


def test_liveness_expects_no_death_while_valkey_is_away_nor_right_after() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a", jobs=3)
        harness.start("b", jobs=3)
        await asyncio.sleep(5)
        harness.beats.fail_with = UnavailableError("no Valkey")
        await asyncio.sleep(60)
        harness.beats.fail_with = None
        await asyncio.sleep(60)
        assert not harness.released
        harness.beats.fail_with = UnavailableError("no Valkey")
        await asyncio.sleep(5)
        await harness.kill("a")
        harness.beats.fail_with = None
        back = now()
        await asyncio.sleep(20)
        assert harness.released == ["a-000", "a-001", "a-002"]
        assert all(GRACE_S <= at - back <= GRACE_S + 3 for at, _ in harness.queue.released)
        await harness.end()

    run(story())


def test_liveness_lists_its_jobs_again_after_valkey_has_lost_them() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a", jobs=3)
        harness.start("b")
        await asyncio.sleep(5)
        harness.beats.lose()
        await asyncio.sleep(2)
        harness.held["a"].pop()
        await asyncio.sleep(2)
        await harness.kill("a")
        await asyncio.sleep(5)
        assert harness.released == ["a-000", "a-001"]
        await harness.end()

    run(story())


def test_liveness_tries_again_while_the_queue_is_away() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        for name in ("a", "b", "c"):
            harness.start(name, jobs=2)
        await asyncio.sleep(5)
        harness.queue.refuse = UnavailableError("no SQS")
        await harness.kill("a")
        await asyncio.sleep(60)
        harness.queue.refuse = None
        await asyncio.sleep(20)
        assert harness.released == ["a-000", "a-001"]
        await harness.end()

    run(story())


def test_liveness_repeats_only_releases_that_may_succeed() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        for name in ("a", "b"):
            harness.start(name, jobs=3)
        await asyncio.sleep(5)
        harness.queue.failures = {
            "a-000": PermanentRefusalError("not in flight"),
            "a-001": UnavailableError("throttled"),
        }
        await harness.kill("a")
        await asyncio.sleep(20)
        assert harness.released == ["a-002"]
        del harness.queue.failures["a-001"]
        await asyncio.sleep(20)
        assert harness.released == ["a-001", "a-002"]
        assert (await harness.beats.values()).keys() == {"b"}
        await harness.end()

    run(story())


def test_liveness_that_leaves_is_no_dead_peer() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a")
        harness.start("b")
        await asyncio.sleep(5)
        await harness.kill("a")
        await harness.workers["a"].leave()
        assert (await harness.beats.values()).keys() == {"b"}
        await asyncio.sleep(10)
        assert not harness.released
        await harness.end()

    run(story())


def test_liveness_that_leaves_with_a_job_lets_a_peer_release_it() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a", jobs=1)
        harness.start("b")
        await asyncio.sleep(5)
        await harness.kill("a")
        await harness.workers["a"].leave()
        await asyncio.sleep(5)
        assert harness.released == ["a-000"]
        await harness.end()

    run(story())


def test_liveness_beats_at_most_twenty_times_a_second() -> None:
    async def story() -> None:
        harness = ClusterHarness()
        harness.start("a")
        for number in range(1000):
            harness.receive("a", f"{number:04}")
            await asyncio.sleep(0.01)
        assert int((await harness.beats.values())["a"]) <= 10 * 20 + 1
        await harness.end()

    run(story())
