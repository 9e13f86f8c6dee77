"""Workers that stop hand running answers over, long before their visibility timeout."""

import signal
import time

import pytest

from tests.integration.worker.conftest import Processes, WorkerHarness
from tests.integration.worker.test_worker_death import exactly


@pytest.fixture
def visibility_s() -> int:
    return 60


@pytest.mark.parametrize("stop_timeout_s", [0.01, 0.5])
async def test_handover_lets_another_worker_continue_at_once(
    harness: WorkerHarness, processes: Processes, stop_timeout_s: float
) -> None:
    first = processes.start(echo_token_ms="10", slots="1", stop_timeout_s=str(stop_timeout_s))
    response_id = await harness.submit(input="count to 2000")
    await harness.logged(response_id, count=10)
    processes.start(echo_token_ms="1")
    await exactly(harness, await harness.submit(input="count to 3"), count=3)
    first.send_signal(signal.SIGTERM)
    began = time.monotonic()
    await harness.claimed(response_id, epoch=2)
    assert time.monotonic() - began < stop_timeout_s + 3
    await exactly(harness, response_id, count=2000)
    assert first.wait(10) == 0
    assert (await harness.describe(response_id)).epoch == 2


async def test_handover_leaves_answers_that_end_in_time(
    harness: WorkerHarness, processes: Processes
) -> None:
    first = processes.start(echo_token_ms="10", slots="1", stop_timeout_s="20")
    response_id = await harness.submit(input="count to 300")
    await harness.logged(response_id, count=10)
    first.send_signal(signal.SIGTERM)
    waiting = await harness.submit(input="count to 3")
    await exactly(harness, response_id, count=300)
    assert first.wait(10) == 0
    assert (await harness.describe(response_id)).epoch == 1
    assert (await harness.describe(waiting)).epoch == 0
