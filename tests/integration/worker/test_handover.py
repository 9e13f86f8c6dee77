"""Workers that must stop amid an answer hand it over, long before its job would come back."""

import signal
import time

import pytest

from tests.integration.worker.conftest import Processes, World
from tests.integration.worker.test_worker_death import exactly


@pytest.fixture
def visibility_s() -> int:
    return 60


@pytest.mark.parametrize("stop_timeout_s", [0.01, 0.5])
async def test_another_worker_goes_on_at_once(
    world: World, processes: Processes, stop_timeout_s: float
) -> None:
    first = processes.start(echo_token_ms="10", slots="1", stop_timeout_s=str(stop_timeout_s))
    response_id = await world.submit(input="count to 2000")
    await world.logged(response_id, count=10)
    processes.start(echo_token_ms="1")
    await exactly(world, await world.submit(input="count to 3"), count=3)
    first.send_signal(signal.SIGTERM)
    began = time.monotonic()
    await world.claimed(response_id, epoch=2)
    assert time.monotonic() - began < stop_timeout_s + 3
    await exactly(world, response_id, count=2000)
    assert first.wait(10) == 0
    assert (await world.describe(response_id)).epoch == 2


async def test_what_ends_in_time_is_not_handed_over(world: World, processes: Processes) -> None:
    first = processes.start(echo_token_ms="10", slots="1", stop_timeout_s="20")
    response_id = await world.submit(input="count to 300")
    await world.logged(response_id, count=10)
    first.send_signal(signal.SIGTERM)
    waiting = await world.submit(input="count to 3")
    await exactly(world, response_id, count=300)
    assert first.wait(10) == 0
    assert (await world.describe(response_id)).epoch == 1
    assert (await world.describe(waiting)).epoch == 0
