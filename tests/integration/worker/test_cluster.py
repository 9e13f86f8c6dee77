"""Two workers that hand jobs over to each other."""

import asyncio
import signal

import pytest

from axon.rendezvous import ranked
from tests.integration.worker.cluster_harness import TOGETHER, ClusterHarness
from tests.integration.worker.conftest import Processes, WorkerHarness, text_of
from tests.integration.worker.test_worker_death import exactly
from tests.support.eventually import eventually


@pytest.fixture
def cluster(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> ClusterHarness:
    return ClusterHarness(harness, monkeypatch)


async def talk(harness: WorkerHarness, *, turns: int) -> list[str]:
    """Ask for one turn after the other; return their responses."""
    ids: list[str] = []
    for number in range(turns):
        previous = {"previous_response_id": ids[-1]} if ids else {}
        ids.append(await harness.submit(input=f"turn {number}", **previous))
        assert text_of(await harness.ended(ids[-1])) == f"turn {number}"
        await harness.done()
    return ids


async def test_cluster_runs_the_turns_of_a_conversation_on_one_worker(
    harness: WorkerHarness, cluster: ClusterHarness
) -> None:
    async with cluster.workers("w1", "w2"):
        for _ in range(8):
            turns = [cluster.ran[each] for each in await talk(harness, turns=4)]
            assert all(len(places) == 1 for places in turns)
            conversation = turns[0][0][0]
            first = ranked(conversation, ["w1", "w2"])[0]
            assert {place[:2] for (place,) in turns} == {(conversation, first)}
    handed_over = {each for each, places in cluster.ran.items() if places[0][2]}
    assert handed_over == cluster.forwarded != set()
    assert {place[1] for places in cluster.ran.values() for place in places} == {"w1", "w2"}


async def test_cluster_answers_many_conversations_once_each(
    harness: WorkerHarness, cluster: ClusterHarness
) -> None:
    async with cluster.workers("w1", "w2", "w3", slots="4", echo_token_ms="2"):
        ids = await asyncio.gather(*(harness.submit(input=f"count to {n}") for n in range(1, 61)))
        for count, response_id in enumerate(ids, start=1):
            await exactly(harness, response_id, count=count)
            assert (await harness.describe(response_id)).epoch == 1
    await harness.done()
    assert all(len(places) == 1 for places in cluster.ran.values())
    assert cluster.forwarded
    assert harness.depth("history") == 60


async def test_cluster_without_affinity_forwards_nothing(
    harness: WorkerHarness, cluster: ClusterHarness
) -> None:
    async with cluster.workers("w1", "w2", prefix_affinity="false"):
        for _ in range(3):
            await talk(harness, turns=3)
    assert not cluster.forwarded


async def test_cluster_of_one_worker_keeps_all_jobs(
    harness: WorkerHarness, cluster: ClusterHarness
) -> None:
    async with cluster.workers("w1"):
        async with cluster.workers("w2"):
            await cluster.known(1, by=["w1"])
        await eventually(lambda: not cluster.announcers["w1"].peers)
        cluster.ran.clear()
        for _ in range(3):
            await talk(harness, turns=2)
        assert {places[0][1] for places in cluster.ran.values()} == {"w1"}


async def handed_over_to(
    other: str, harness: WorkerHarness, cluster: ClusterHarness
) -> tuple[str, set[str]]:
    """Submit until a job is handed over to a worker elsewhere; return it and all that there are."""
    every: set[str] = set()
    async with asyncio.timeout(12):  # its lease lasts longer
        while not cluster.forwarded:
            response_id = await harness.submit(input="count to 150")
            every.add(response_id)
            job = await harness.job(response_id)
            if ranked(job.conversation_id, ["w1", "w2"])[0] == other:
                await asyncio.sleep(0.3)  # it may also be received there
    return next(iter(cluster.forwarded)), every


@pytest.mark.parametrize("begun", [True, False])
async def test_cluster_runs_the_jobs_of_a_killed_worker_again(
    harness: WorkerHarness, cluster: ClusterHarness, processes: Processes, begun: bool
) -> None:
    async with cluster.workers("w1", echo_token_ms="5", slots="64"):
        other = processes.start(worker_id="w2", echo_token_ms="10", slots="64", **TOGETHER)
        await cluster.known(1, by=["w1"])
        if not begun:  # the job arrives there, but is not run
            other.send_signal(signal.SIGSTOP)
        response_id, every = await handed_over_to("w2", harness, cluster)
        if begun:
            await harness.claimed(response_id, epoch=1)
            await harness.logged(response_id, count=4)
        else:
            assert (await harness.describe(response_id)).epoch == 0
        other.kill()
        other.wait()
        for each in every:
            await exactly(harness, each, count=150)
        assert (await harness.describe(response_id)).epoch == 1 + begun
        assert cluster.ran[response_id][-1][1:] == ("w1", False)
        await harness.done()


async def test_cluster_worker_that_wakes_too_late_drops_old_jobs(
    harness: WorkerHarness, cluster: ClusterHarness, processes: Processes
) -> None:
    async with cluster.workers("w1", slots="64"):
        other = processes.start(worker_id="w2", slots="64", **TOGETHER)
        await cluster.known(1, by=["w1"])
        other.send_signal(signal.SIGSTOP)
        response_id, every = await handed_over_to("w2", harness, cluster)
        for each in every:
            await exactly(harness, each, count=150)
        other.send_signal(signal.SIGCONT)
        await eventually(lambda: cluster.announcers["w1"].peers)
        for each in [await harness.submit(input="count to 3") for _ in range(8)]:
            await exactly(harness, each, count=3)
        assert (await harness.describe(response_id)).epoch == 1
        await harness.done()


async def test_cluster_loses_nothing_when_workers_join_and_leave(
    harness: WorkerHarness, cluster: ClusterHarness
) -> None:
    ids: list[str] = []
    async with cluster.workers("w1", echo_token_ms="2"):
        for _ in range(3):
            async with harness.worker(worker_id="w2", echo_token_ms="2", **TOGETHER):
                await cluster.known(1, by=["w1"])
                ids += await asyncio.gather(
                    *(harness.submit(input="count to 20") for _ in range(20))
                )
                await asyncio.sleep(0.02)  # some are on their way
        for each in ids:
            await exactly(harness, each, count=20)
    assert cluster.forwarded
    await harness.done()
