"""Requests that kill their workers end alone: whatever runs beside them is answered."""

from collections.abc import Awaitable, Callable

import pytest

from axon.event_log.log import Status
from tests.support.virtual_time import run
from tests.unit.worker.fleet_harness import SLOTS, FleetHarness
from worker.attempt.endings import CONDEMNED

ERROR = {"code": "server_error", "message": CONDEMNED}


def in_fleet(
    story: Callable[[FleetHarness], Awaitable[None]], *, workers: int, tokens: int = 5
) -> FleetHarness:
    fleet = FleetHarness(workers, tokens=tokens)

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
