"""Two workers that hand jobs over to each other."""

import asyncio
import signal

import pytest

from axon.rendezvous import ranked
from tests.integration.worker.cluster_harness import TOGETHER, Beside
from tests.integration.worker.conftest import Processes, World, text_of
from tests.integration.worker.test_worker_death import exactly
from tests.support.eventually import eventually


@pytest.fixture
def beside(world: World, monkeypatch: pytest.MonkeyPatch) -> Beside:
    return Beside(world, monkeypatch)


async def talk(world: World, *, turns: int) -> list[str]:
    """Ask for one turn after the other; return their responses."""
    ids: list[str] = []
    for number in range(turns):
        previous = {"previous_response_id": ids[-1]} if ids else {}
        ids.append(await world.submit(input=f"turn {number}", **previous))
        assert text_of(await world.ended(ids[-1])) == f"turn {number}"
        await world.done()
    return ids


async def test_the_turns_of_a_conversation_land_on_one_worker(world: World, beside: Beside) -> None:
    async with beside.workers("w1", "w2"):
        for _ in range(8):
            turns = [beside.ran[each] for each in await talk(world, turns=4)]
            assert all(len(places) == 1 for places in turns)
            conversation = turns[0][0][0]
            first = ranked(conversation, ["w1", "w2"])[0]
            assert {place[:2] for (place,) in turns} == {(conversation, first)}
    handed_over = {each for each, places in beside.ran.items() if places[0][2]}
    assert handed_over == beside.forwarded != set()
    assert {place[1] for places in beside.ran.values() for place in places} == {"w1", "w2"}


async def test_many_conversations_are_answered_once_each(world: World, beside: Beside) -> None:
    async with beside.workers("w1", "w2", "w3", slots="4", echo_token_ms="2"):
        ids = await asyncio.gather(*(world.submit(input=f"count to {n}") for n in range(1, 61)))
        for count, response_id in enumerate(ids, start=1):
            await exactly(world, response_id, count=count)
            assert (await world.describe(response_id)).epoch == 1
    await world.done()
    assert all(len(places) == 1 for places in beside.ran.values())
    assert beside.forwarded
    assert world.depth("history") == 60


async def test_without_affinity_they_stay_where_they_came(world: World, beside: Beside) -> None:
    async with beside.workers("w1", "w2", prefix_affinity="false"):
        for _ in range(3):
            await talk(world, turns=3)
    assert not beside.forwarded


async def test_one_that_is_left_alone_keeps_all(world: World, beside: Beside) -> None:
    async with beside.workers("w1"):
        async with beside.workers("w2"):
            await beside.known(1, by=["w1"])
        await eventually(lambda: not beside.announcers["w1"].peers)
        beside.ran.clear()
        for _ in range(3):
            await talk(world, turns=2)
        assert {places[0][1] for places in beside.ran.values()} == {"w1"}


async def handed_over_to(other: str, world: World, beside: Beside) -> tuple[str, set[str]]:
    """Submit until a job is handed over to a worker elsewhere; return it and all that there are."""
    every: set[str] = set()
    async with asyncio.timeout(12):  # its lease lasts longer
        while not beside.forwarded:
            response_id = await world.submit(input="count to 150")
            every.add(response_id)
            job = await world.job(response_id)
            if ranked(job.conversation_id, ["w1", "w2"])[0] == other:
                await asyncio.sleep(0.3)  # it may also be received there
    return next(iter(beside.forwarded)), every


@pytest.mark.parametrize("begun", [True, False])
async def test_a_job_comes_back_from_one_that_was_killed(
    world: World, beside: Beside, processes: Processes, begun: bool
) -> None:
    async with beside.workers("w1", echo_token_ms="5", slots="64"):
        other = processes.start(worker_id="w2", echo_token_ms="10", slots="64", **TOGETHER)
        await beside.known(1, by=["w1"])
        if not begun:  # it hears of the job, but does nothing
            other.send_signal(signal.SIGSTOP)
        response_id, every = await handed_over_to("w2", world, beside)
        if begun:
            await world.claimed(response_id, epoch=1)
            await world.logged(response_id, count=4)
        else:
            assert (await world.describe(response_id)).epoch == 0
        other.kill()
        other.wait()
        for each in every:
            await exactly(world, each, count=150)
        assert (await world.describe(response_id)).epoch == 1 + begun
        assert beside.ran[response_id][-1][1:] == ("w1", False)
        await world.done()


async def test_one_that_wakes_too_late_leaves_what_it_was_given(
    world: World, beside: Beside, processes: Processes
) -> None:
    async with beside.workers("w1", slots="64"):
        other = processes.start(worker_id="w2", slots="64", **TOGETHER)
        await beside.known(1, by=["w1"])
        other.send_signal(signal.SIGSTOP)
        response_id, every = await handed_over_to("w2", world, beside)
        for each in every:
            await exactly(world, each, count=150)
        other.send_signal(signal.SIGCONT)
        await eventually(lambda: beside.announcers["w1"].peers)
        for each in [await world.submit(input="count to 3") for _ in range(8)]:
            await exactly(world, each, count=3)
        assert (await world.describe(response_id)).epoch == 1
        await world.done()


async def test_workers_that_come_and_go_lose_nothing(world: World, beside: Beside) -> None:
    ids: list[str] = []
    async with beside.workers("w1", echo_token_ms="2"):
        for _ in range(3):
            async with world.worker(worker_id="w2", echo_token_ms="2", **TOGETHER):
                await beside.known(1, by=["w1"])
                ids += await asyncio.gather(*(world.submit(input="count to 20") for _ in range(20)))
                await asyncio.sleep(0.02)  # some are on their way
        for each in ids:
            await exactly(world, each, count=20)
    assert beside.forwarded
    await world.done()
