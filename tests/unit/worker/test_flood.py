"""10,000 jobs at once upon a slow engine: none is lost, and those that it takes go as ever."""

import gc
from collections.abc import Iterator

import pytest

from tests.support.virtual_time import run
from tests.unit.worker.flood_harness import SLOTS, FloodHarness

JOBS = 10_000
SIZES = {"queue_retrieve": 16, "queue_assemble": 16, "queue_infer": 32}
PREFETCH = 100
SECONDS = 12


@pytest.fixture(autouse=True)
def _heap_of_its_own() -> Iterator[None]:
    """Keep what earlier tests have left in this process from delaying full garbage collections.

    Python makes one when new objects are a quarter of all: in a large heap, later than the flood.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # counts again, without what is frozen
    yield
    gc.unfreeze()


def flooded(count: int, **sizes: int) -> FloodHarness:
    async def story() -> FloodHarness:
        flood = FloodHarness(count, prefetch=PREFETCH, **SIZES | sizes)
        await flood.pass_by()
        return flood

    return run(story())


def test_flood_answers_or_fails_every_job_in_constant_memory() -> None:
    flood = flooded(JOBS)
    answered = flood.log.ends.count("completed")
    told = flood.log.ends.count("server_overloaded")
    assert answered + told == JOBS
    assert flood.queue.dead == []
    assert flood.outcomes.keys() == {"completed", "delayed", "shed"}
    assert (flood.outcomes["completed"], flood.outcomes["shed"]) == (answered, told)
    assert sum(flood.queue.receives) == sum(flood.outcomes.values())

    shed = "axon_requests_shed_total"
    assert flood.metric(shed, stage="infer", reason="receives") == told
    assert flood.metric(shed, stage="infer", reason="released") == flood.outcomes["delayed"]
    assert flood.metric("axon_requests_processed_total", stage="infer") == answered

    assert flood.most_running <= SLOTS + PREFETCH
    assert len(flood.memory) > 20
    early, later = max(flood.memory[:3]), max(flood.memory[3:])
    assert later - early < 4 * 2**20


def test_flood_does_not_slow_the_engine_down() -> None:
    flood, calm = flooded(1_000), flooded(SLOTS * SECONDS, queue_infer=SLOTS * SECONDS)
    assert calm.outcomes == {"completed": SLOTS * SECONDS}
    assert flood.outcomes["shed"]
    assert calm.log.completed_at[-1] == pytest.approx(SECONDS, abs=0.1)
    assert flood.log.completed_at[: SLOTS * SECONDS] == pytest.approx(calm.log.completed_at)
