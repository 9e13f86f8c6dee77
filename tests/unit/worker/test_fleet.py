"""Requests that kill their workers end alone: whatever runs beside them is answered."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from axon.event_log.log import Status
from tests.support.virtual_time import now, run
from tests.unit.worker.fleet_harness import PREFILL_S, SLOTS, FleetHarness
from worker.attempt.endings import CONDEMNED

ERROR = {"code": "invalid_prompt", "message": CONDEMNED}


def in_fleet(
    story: Callable[[FleetHarness], Awaitable[None]],
    *,
    workers: int,
    tokens: int = 5,
    slots: int = SLOTS,
    prefill_s: float = PREFILL_S,
) -> FleetHarness:
    fleet = FleetHarness(workers, tokens=tokens, slots=slots, prefill_s=prefill_s)

    async def main() -> None:
        await fleet.start()
        await story(fleet)

    run(main())
    return fleet


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_fleet_condemns_poison_and_answers_all_that_ran_beside_it(workers: int) -> None:
    async def story(fleet: FleetHarness) -> None:
        # Each time that the poison kills its worker, its peers have not made a token yet.
        poison = await fleet.submit("poison")
        healthy = [await fleet.submit(f"hello {n}") for n in range(SLOTS * workers - 1)]
        for response_id in healthy:
            assert await fleet.ended(response_id, within_s=120) is Status.COMPLETED
            assert await fleet.text(response_id) == "0 1 2 3 4 "
        assert await fleet.ended(poison, within_s=120) is Status.FAILED
        assert await fleet.error(poison) == ERROR

    fleet = in_fleet(story, workers=workers)
    assert fleet.deaths == 3
    assert fleet.outcomes["condemned"] == 1
    assert fleet.most_in_quarantine <= 1


@pytest.mark.parametrize(
    ("workers", "poisons", "median_s", "last_s"),
    [(1, 1, 60, 130), (1, 4, 200, 300), (3, 2, 60, 130)],
)
def test_fleet_ends_only_poison_at_the_slots_of_production(
    workers: int, poisons: int, median_s: float, last_s: float
) -> None:
    ended: list[float] = []

    async def story(fleet: FleetHarness) -> None:
        poison = [await fleet.submit(f"poison {n}") for n in range(poisons)]
        healthy = [await fleet.submit(f"hello {n}") for n in range(64 * workers - poisons)]
        began = now()
        left = set(healthy)
        while left and now() - began < 700:
            gone = {each for each in left if (await fleet.responses.status(each)).terminal}
            left -= gone
            ended.extend([now() - began] * len(gone))
            await asyncio.sleep(1)
        for response_id in healthy:
            assert await fleet.ended(response_id, within_s=1) is Status.COMPLETED
        for response_id in poison:
            assert await fleet.ended(response_id, within_s=120) is Status.FAILED
            assert await fleet.error(response_id) == ERROR

    fleet = in_fleet(story, workers=workers, slots=64, prefill_s=5.0)
    assert ended[len(ended) // 2] <= median_s
    assert ended[-1] <= last_s
    assert fleet.deaths <= 3 * poisons
    assert fleet.outcomes["condemned"] == poisons
    assert fleet.queue.dead_letters == []
    assert fleet.queue.most_receives <= 20


def test_fleet_renews_the_budget_of_answers_with_progress() -> None:
    async def story(fleet: FleetHarness) -> None:
        long = [await fleet.submit(f"long {n}") for n in range(SLOTS - 1)]
        for number in range(3):  # nine deaths in series, each in the middle of the long answers
            poison = await fleet.submit(f"poison {number}")
            assert await fleet.ended(poison, within_s=300) is Status.FAILED
        for response_id in long:
            assert await fleet.ended(response_id, within_s=300) is Status.COMPLETED
            assert await fleet.text(response_id) == "".join(f"{n} " for n in range(400))

    fleet = in_fleet(story, workers=1, tokens=400)
    assert fleet.deaths == 9
    assert fleet.outcomes["condemned"] == 3


def test_fleet_goes_on_for_others_while_a_tenant_sends_poison() -> None:
    async def story(fleet: FleetHarness) -> None:
        poison = [await fleet.submit(f"poison {n}") for n in range(10)]
        for number in range(30):
            healthy = await fleet.submit(f"hello {number}")
            assert await fleet.ended(healthy, within_s=180) is Status.COMPLETED
        for response_id in poison:
            assert await fleet.ended(response_id, within_s=600) is Status.FAILED

    fleet = in_fleet(story, workers=3)
    assert fleet.most_in_quarantine == 1
    assert fleet.deaths <= 30


def test_fleet_condemns_nobody_for_drains_and_hand_overs() -> None:
    async def story(fleet: FleetHarness) -> None:
        response_id = await fleet.submit("hello")
        for _ in range(10):
            worker = fleet.workers[0]
            await fleet.until_running(worker)
            await worker.leave()
        assert await fleet.ended(response_id, within_s=60) is Status.COMPLETED

    fleet = in_fleet(story, workers=1)
    assert fleet.deaths == 0
    assert fleet.most_in_quarantine == 0
