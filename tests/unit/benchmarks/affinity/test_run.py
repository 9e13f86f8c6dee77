from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric

from benchmarks.affinity import run as module
from benchmarks.affinity.conversations import WARM_UPS
from benchmarks.affinity.model import Counters, Plan, Turn
from benchmarks.affinity.run import counters, run
from benchmarks.load_process import LoadError
from benchmarks.peers import Peer
from tests.unit.benchmarks.affinity.leg_samples import plan, turn

ROOTS = {1: "supervisor", 2: "relay-0", 3: "worker-0", 4: "worker-1"}


class StubWorkers:
    """Stands for both workers' /metrics; they count an answer one read late."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        labels = ["model_name", "engine"]
        self.queries = Counter("vllm:prefix_cache_queries", ".", labels, registry=registry)
        self.hits = Counter("vllm:prefix_cache_hits", ".", labels, registry=registry)
        self.jobs = Counter("axon_jobs", ".", ["outcome"], registry=registry)
        self.late = 0
        self._registry = registry

    def count(self, *, queries: int, hits: int) -> None:
        self.queries.labels("m", "0").inc(queries)
        self.hits.labels("m", "0").inc(hits)

    def metrics_of(self, pid: int) -> list[Metric]:
        if pid == 4:
            return []
        metrics = list(self._registry.collect())
        self.jobs.labels("completed").inc(self.late)
        self.late = 0
        return metrics


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> StubWorkers:
    workers = StubWorkers()
    monkeypatch.setattr(module, "metrics_of", workers.metrics_of)
    monkeypatch.setattr(module, "_POLL_S", 0)
    return workers


def test_counters_are_read_from_every_worker(workers: StubWorkers) -> None:
    workers.count(queries=90, hits=30)
    workers.jobs.labels("completed").inc(2)
    workers.jobs.labels("released").inc(5)
    assert counters(ROOTS) == {"worker-0": Counters(90, 30, 2), "worker-1": Counters()}


class StubCloud:
    """Stands for both legs' clouds, and for what is asked of them."""

    def __init__(self, workers: StubWorkers) -> None:
        self.workers = workers
        self.started: list[dict[str, str]] = []
        self.stopped = 0
        self.answers: list[Turn] | Exception = [turn(0, 0), turn(0, 1)]

    async def start(self, engine: str, *, settings: dict[str, str], **_: Any) -> Peer:
        assert engine == "echo"
        self.workers.jobs.clear()
        self.started.append(settings)
        return cast("Peer", SimpleNamespace(url="", model="m", roots=lambda: ROOTS, stop=self.stop))

    def stop(self) -> None:
        self.stopped += 1

    async def warm_up(self, clients: list[Any]) -> None:
        self.workers.count(queries=1000, hits=1000)
        self.workers.late = len(clients) * WARM_UPS

    async def run_conversations(self, _: Plan, __: list[Any]) -> list[Turn]:
        if isinstance(self.answers, Exception):
            raise ExceptionGroup("turns", [self.answers])
        self.workers.count(queries=200, hits=80)
        self.workers.late = len(self.answers)
        return self.answers


class SilentClient:
    def __init__(self, **_: str) -> None:
        pass

    async def connect(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def cloud(workers: StubWorkers, monkeypatch: pytest.MonkeyPatch) -> StubCloud:
    cloud = StubCloud(workers)
    monkeypatch.setattr(module, "start_cloud", cloud.start)
    monkeypatch.setattr(module, "warm_up", cloud.warm_up)
    monkeypatch.setattr(module, "run_conversations", cloud.run_conversations)
    monkeypatch.setattr(module, "TurnClient", SilentClient)
    return cloud


def nothing(_: str) -> None:
    pass


async def test_affinity_run_counts_each_leg(cloud: StubCloud) -> None:
    kept, free = await run(plan(), {"AXON_SLOTS": "4"}, nothing)
    assert cloud.started == [
        {"AXON_SLOTS": "4", "AXON_PREFIX_AFFINITY": "true"},
        {"AXON_SLOTS": "4", "AXON_PREFIX_AFFINITY": "false"},
    ]
    assert (kept.affinity, free.affinity) == (True, False)
    for leg in (kept, free):
        assert leg.counters["worker-0"] == Counters(200, 80, 2)
        assert leg.counters["worker-1"] == Counters()
        assert leg.turns == cloud.answers
    assert cloud.stopped == 2


async def test_affinity_run_ends_if_a_leg_fails(cloud: StubCloud) -> None:
    cloud.answers = ConnectionResetError("gone")
    with pytest.raises(LoadError, match="ConnectionResetError: gone"):
        await run(plan(), {}, nothing)
    assert (len(cloud.started), cloud.stopped) == (1, 1)


async def test_affinity_run_reports_a_missing_worker(cloud: StubCloud) -> None:
    with pytest.raises(LoadError, match="2 workers instead of 3"):
        await run(replace(plan(), workers=3), {}, nothing)
