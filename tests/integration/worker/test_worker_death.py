"""Workers that are killed, or stopped and woken too late: another continues undisturbed."""

import random
import signal

import pytest

from axon.event_log.log import Status
from tests.integration.worker.conftest import Processes, WorkerHarness, text_of


def count_to(number: int) -> str:
    return " ".join(map(str, range(1, number + 1)))


async def exactly(harness: WorkerHarness, response_id: str, *, count: int) -> None:
    """Wait for the answer; it must hold each word and each token once."""
    decoded = await harness.ended(response_id)
    assert text_of(decoded) == count_to(count)
    assert decoded[-1]["response"]["usage"]["output_tokens"] == count
    events = await harness.log.read(response_id)
    assert [token for event in events for token in event.token_ids] == list(range(count))


@pytest.mark.parametrize("run", range(3))
async def test_worker_continues_the_answer_of_a_killed_one(
    harness: WorkerHarness, processes: Processes, run: int
) -> None:
    first = processes.start(echo_token_ms="10", slots="1")
    response_id = await harness.submit(input="count to 300")
    before = await harness.logged(response_id, count=random.Random(run).randint(4, 25))
    first.kill()
    first.wait()
    logged = await harness.log.read(response_id)
    processes.start(echo_token_ms="1")
    await exactly(harness, response_id, count=300)
    assert (await harness.log.read(response_id))[: len(logged)] == logged
    assert logged[: len(before)] == before
    assert (await harness.describe(response_id)).epoch == 2
    await harness.done()


async def test_worker_that_wakes_after_the_end_changes_nothing(
    harness: WorkerHarness, processes: Processes
) -> None:
    zombie = processes.start(echo_token_ms="10", slots="1")
    response_id = await harness.submit(input="count to 200")
    await harness.logged(response_id, count=10)
    zombie.send_signal(signal.SIGSTOP)
    other = processes.start(echo_token_ms="1", slots="1")
    await exactly(harness, response_id, count=200)
    other.kill()
    other.wait()
    dump = await harness.dump(response_id)
    zombie.send_signal(signal.SIGCONT)
    following = await harness.submit(input="count to 5")
    await exactly(harness, following, count=5)
    assert await harness.dump(response_id) == dump
    assert (await harness.describe(response_id)).epoch == 2
    assert (await harness.describe(following)).epoch == 1


async def test_worker_that_wakes_during_a_newer_attempt_leaves_it_alone(
    harness: WorkerHarness, processes: Processes
) -> None:
    zombie = processes.start(echo_token_ms="10", slots="1")
    response_id = await harness.submit(input="count to 300")
    await harness.logged(response_id, count=10)
    zombie.send_signal(signal.SIGSTOP)
    processes.start(echo_token_ms="25", slots="1")
    await harness.claimed(response_id, epoch=2)
    zombie.send_signal(signal.SIGCONT)
    following = await harness.submit(input="count to 5")
    await exactly(harness, following, count=5)
    assert (await harness.describe(response_id)).status is Status.IN_PROGRESS
    await harness.done(jobs=1)
    await exactly(harness, response_id, count=300)
    assert (await harness.describe(response_id)).epoch == 2
    assert harness.depth("history") == 2


async def test_worker_with_a_duplicate_of_a_job_changes_only_the_epoch(
    harness: WorkerHarness,
) -> None:
    changes = {"echo_token_ms": "10", "slots": "1"}
    async with harness.worker(**changes), harness.worker(**changes):
        response_id = await harness.submit(input="count to 500")
        await harness.logged(response_id, count=10)
        await harness.send_again(response_id)
        await harness.claimed(response_id, epoch=2)
        await exactly(harness, response_id, count=500)
        following = [await harness.submit(input="count to 5") for _ in range(4)]
        for each in following:
            await exactly(harness, each, count=5)
    assert (await harness.describe(response_id)).epoch == 2
    await harness.done()
    assert harness.depth("history") == 5
