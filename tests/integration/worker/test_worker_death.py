"""Workers that are killed, or stopped and woken too late: one goes on, and nobody mixes in."""

import random
import signal

import pytest

from axon.event_log.log import Status
from tests.integration.worker.conftest import Processes, World, text_of


def count_to(number: int) -> str:
    return " ".join(map(str, range(1, number + 1)))


async def exactly(world: World, response_id: str, *, count: int) -> None:
    """Wait for the answer; it must hold each word and each token once."""
    decoded = await world.ended(response_id)
    assert text_of(decoded) == count_to(count)
    assert decoded[-1]["response"]["usage"]["output_tokens"] == count
    events = await world.log.read(response_id)
    assert [token for event in events for token in event.token_ids] == list(range(count))


@pytest.mark.parametrize("run", range(3))
async def test_another_worker_goes_on_where_a_killed_one_was(
    world: World, processes: Processes, run: int
) -> None:
    first = processes.start(echo_token_ms="10", slots="1")
    response_id = await world.submit(input="count to 300")
    before = await world.logged(response_id, count=random.Random(run).randint(4, 25))
    first.kill()
    first.wait()
    logged = await world.log.read(response_id)
    processes.start(echo_token_ms="1")
    await exactly(world, response_id, count=300)
    assert (await world.log.read(response_id))[: len(logged)] == logged
    assert logged[: len(before)] == before
    assert (await world.describe(response_id)).epoch == 2
    await world.done()


async def test_who_wakes_after_the_end_changes_nothing(world: World, processes: Processes) -> None:
    zombie = processes.start(echo_token_ms="10", slots="1")
    response_id = await world.submit(input="count to 200")
    await world.logged(response_id, count=10)
    zombie.send_signal(signal.SIGSTOP)
    other = processes.start(echo_token_ms="1", slots="1")
    await exactly(world, response_id, count=200)
    other.kill()
    other.wait()
    dump = await world.dump(response_id)
    zombie.send_signal(signal.SIGCONT)
    following = await world.submit(input="count to 5")
    await exactly(world, following, count=5)
    assert await world.dump(response_id) == dump
    assert (await world.describe(response_id)).epoch == 2
    assert (await world.describe(following)).epoch == 1


async def test_who_wakes_amid_anothers_attempt_leaves_it_alone(
    world: World, processes: Processes
) -> None:
    zombie = processes.start(echo_token_ms="10", slots="1")
    response_id = await world.submit(input="count to 300")
    await world.logged(response_id, count=10)
    zombie.send_signal(signal.SIGSTOP)
    processes.start(echo_token_ms="25", slots="1")
    await world.claimed(response_id, epoch=2)
    zombie.send_signal(signal.SIGCONT)
    following = await world.submit(input="count to 5")
    await exactly(world, following, count=5)
    assert (await world.describe(response_id)).status is Status.IN_PROGRESS
    await world.done(jobs=1)
    await exactly(world, response_id, count=300)
    assert (await world.describe(response_id)).epoch == 2
    assert world.depth("history") == 2


async def test_a_duplicate_of_a_job_changes_hands_and_nothing_else(world: World) -> None:
    changes = {"echo_token_ms": "10", "slots": "1"}
    async with world.worker(**changes), world.worker(**changes):
        response_id = await world.submit(input="count to 500")
        await world.logged(response_id, count=10)
        await world.send_again(response_id)
        await world.claimed(response_id, epoch=2)
        await exactly(world, response_id, count=500)
        following = [await world.submit(input="count to 5") for _ in range(4)]
        for each in following:
            await exactly(world, each, count=5)
    assert (await world.describe(response_id)).epoch == 2
    await world.done()
    assert world.depth("history") == 5
