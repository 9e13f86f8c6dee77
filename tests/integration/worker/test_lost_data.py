"""Valkey loses its data while a worker answers, and before one does."""

import asyncio

from tests.integration.worker.conftest import CONNECTION, TENANT, Processes, WorkerHarness
from tests.integration.worker.test_worker_death import exactly
from worker.attempt.endings import LOST


async def test_lost_log_of_a_running_answer_is_restored_by_its_worker(
    harness: WorkerHarness,
) -> None:
    async with harness.worker(echo_token_ms="10"):
        response_id = await harness.submit(input="count to 200")
        before = await harness.logged(response_id, count=10)
        await harness.lose()
        await exactly(harness, response_id, count=200)
    assert (await harness.log.read(response_id))[: len(before)] == before
    meta = await harness.describe(response_id)
    assert (meta.tenant_id, meta.connection_id, meta.epoch) == (TENANT, CONNECTION, 1)
    assert not meta.checkpoint.certain
    await harness.done()
    assert harness.depth("history") == 1


async def test_lost_log_is_restored_again_and_again(harness: WorkerHarness) -> None:
    async with harness.worker(echo_token_ms="10", slots="4"):
        ids = [await harness.submit(input="count to 400") for _ in range(3)]
        for number in range(4):
            for response_id in ids:
                await harness.logged(response_id, count=10 + 3 * number)
            await harness.lose()
        await asyncio.gather(*(exactly(harness, response_id, count=400) for response_id in ids))


async def test_lost_log_of_a_new_job_is_restored_from_the_job(harness: WorkerHarness) -> None:
    response_id = await harness.submit(input="count to 3")
    await harness.lose()
    async with harness.worker():
        await exactly(harness, response_id, count=3)


async def test_lost_log_of_a_dead_worker_fails_the_response(
    harness: WorkerHarness, processes: Processes
) -> None:
    first = processes.start(echo_token_ms="10")
    response_id = await harness.submit(input="count to 300")
    await harness.logged(response_id, count=10)
    first.kill()
    first.wait()
    await harness.lose()
    async with harness.worker():
        decoded = await harness.ended(response_id)
    types = [event["type"] for event in decoded]
    assert types == ["response.created", "response.in_progress", "response.failed"]
    assert decoded[-1]["response"]["error"] == LOST
    await harness.done()
    assert harness.depth("history") == 1


async def test_overdue_job_is_failed_and_not_run(harness: WorkerHarness) -> None:
    first = await harness.submit(input="count to 3")
    second = await harness.submit(input="count to 3")
    for response_id in (first, second):
        await harness.age(response_id)
    async with harness.worker(queue_deadline_s="0.001"):
        for response_id in (first, second):
            decoded = await harness.ended(response_id)
            assert decoded[-1]["type"] == "response.failed"
            assert "deadline" in decoded[-1]["response"]["error"]["message"]
            assert decoded[-1]["response"]["output"] == []
    await harness.done()
