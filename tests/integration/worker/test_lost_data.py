"""Valkey loses its data while a worker answers, and before one does."""

import asyncio

from tests.integration.worker.conftest import CONNECTION, TENANT, Processes, World
from tests.integration.worker.test_worker_death import exactly
from worker.attempt.endings import LOST


async def test_a_running_answer_goes_on_from_what_its_worker_holds(world: World) -> None:
    async with world.worker(echo_token_ms="10"):
        response_id = await world.submit(input="count to 200")
        before = await world.logged(response_id, count=10)
        await world.lose()
        await exactly(world, response_id, count=200)
    assert (await world.log.read(response_id))[: len(before)] == before
    meta = await world.describe(response_id)
    assert (meta.tenant_id, meta.connection_id, meta.epoch) == (TENANT, CONNECTION, 1)
    assert not meta.checkpoint.certain
    await world.done()
    assert world.depth("history") == 1


async def test_again_and_again(world: World) -> None:
    async with world.worker(echo_token_ms="10", slots="4"):
        ids = [await world.submit(input="count to 400") for _ in range(3)]
        for number in range(4):
            for response_id in ids:
                await world.logged(response_id, count=10 + 3 * number)
            await world.lose()
        await asyncio.gather(*(exactly(world, response_id, count=400) for response_id in ids))


async def test_a_job_that_nobody_had_is_its_own_backup(world: World) -> None:
    response_id = await world.submit(input="count to 3")
    await world.lose()
    async with world.worker():
        await exactly(world, response_id, count=3)


async def test_what_a_dead_worker_had_told_fails_honestly(
    world: World, processes: Processes
) -> None:
    first = processes.start(echo_token_ms="10")
    response_id = await world.submit(input="count to 300")
    await world.logged(response_id, count=10)
    first.kill()
    first.wait()
    await world.lose()
    async with world.worker():
        decoded = await world.ended(response_id)
    assert [event["type"] for event in decoded] == ["response.created", "response.failed"]
    assert decoded[-1]["response"]["error"] == LOST
    await world.done()
    assert world.depth("history") == 1


async def test_a_job_past_its_deadline_is_failed_and_not_run(world: World) -> None:
    first = await world.submit(input="count to 3")
    second = await world.submit(input="count to 3")
    async with world.worker(response_deadline_s="0.001"):
        for response_id in (first, second):
            decoded = await world.ended(response_id)
            assert decoded[-1]["type"] == "response.failed"
            assert "deadline" in decoded[-1]["response"]["error"]["message"]
            assert decoded[-1]["response"]["output"] == []
    await world.done()
