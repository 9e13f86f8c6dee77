"""Workers that are killed or stopped: peers notice within seconds, long before the queue does."""

import asyncio
import signal
import subprocess
import time

import pytest

from tests.integration.worker.conftest import Processes, WorkerHarness
from tests.integration.worker.test_worker_death import exactly

SILENCE_S = 5.0
"""Longest time without an event that a client may see when a worker is killed."""
TOKENS = 300


@pytest.fixture
def visibility_s() -> int:
    """Longer than any of these tests: nothing here waits for the visibility timeout."""
    return 120


async def longest_silence(harness: WorkerHarness, response_id: str) -> float:
    """Watch a response until its end; return the longest time without a new event."""
    longest, last, events = 0.0, time.monotonic(), 0
    while not (meta := await harness.describe(response_id)).status.terminal:
        now = time.monotonic()
        if meta.next_sequence > events:
            longest, last, events = max(longest, now - last), now, meta.next_sequence
        await asyncio.sleep(0.01)
    return longest


async def answering(
    harness: WorkerHarness, processes: Processes, *, answers: int = 1
) -> tuple["subprocess.Popen[str]", list[str]]:
    """Start a worker; return it, and the responses that it has begun to answer."""
    first = processes.start(echo_token_ms="10", slots=str(answers), worker_id="first")
    response_ids = [await harness.submit(input=f"count to {TOKENS}") for _ in range(answers)]
    for response_id in response_ids:
        await harness.logged(response_id, count=12)
    return first, response_ids


async def test_killed_worker_leaves_no_long_silence(
    harness: WorkerHarness, processes: Processes
) -> None:
    first, response_ids = await answering(harness, processes, answers=3)
    async with harness.worker(echo_token_ms="1", worker_id="second"):
        watches = [asyncio.create_task(longest_silence(harness, each)) for each in response_ids]
        await asyncio.sleep(0)
        first.kill()
        silences = await asyncio.gather(*watches)
        for response_id in response_ids:
            await exactly(harness, response_id, count=TOKENS)
            assert (await harness.describe(response_id)).epoch == 2
        await harness.done()
    assert max(silences) < SILENCE_S


async def test_lone_worker_is_succeeded_by_the_one_that_starts_after_it(
    harness: WorkerHarness, processes: Processes
) -> None:
    first, response_ids = await answering(harness, processes)
    first.kill()
    first.wait()
    # The supervisor starts it again under the same name.
    async with harness.worker(echo_token_ms="1", worker_id="first"):
        await exactly(harness, response_ids[0], count=TOKENS)
        await harness.done()


async def test_stopped_worker_is_fenced_at_its_next_append(
    harness: WorkerHarness, processes: Processes
) -> None:
    first, response_ids = await answering(harness, processes)
    async with harness.worker(
        echo_token_ms="50", slots="1", worker_id="second", stop_timeout_s="0.1"
    ):
        first.send_signal(signal.SIGSTOP)
        await harness.claimed(response_ids[0], epoch=2)
        first.send_signal(signal.SIGCONT)
        # The other worker has one slot, and it is taken: only a free slot of the first answers.
        await exactly(harness, await harness.submit(input="count to 3"), count=3)
        meta = await harness.describe(response_ids[0])
        assert (meta.status.terminal, meta.epoch) == (False, 2)
