"""Task protection in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from axon.exceptions import UnavailableError
from tests.support.virtual_time import now, run
from worker.cluster.task_protection import EXPIRY_MIN, IDLE_S, RENEW_S, RETRY_S, Protection


class Agent:
    """Notes what it is asked, and when; `failures` are raised first, one by one."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, bool]] = []
        self.failures: list[Exception] = []
        self.takes_s = 0.0

    async def protect(self, *, minutes: int | None) -> None:
        assert minutes in (EXPIRY_MIN, None)
        self.asked.append((round(now(), 3), minutes is not None))
        await asyncio.sleep(self.takes_s)
        if self.failures:
            raise self.failures.pop(0)


def play(
    story: Callable[[Protection, Agent], Coroutine[Any, Any, None]],
    *,
    seconds: float,
    failures: int = 0,
    takes_s: float = 0.0,
) -> list[tuple[float, bool]]:
    """Let the story happen; return what the agent was asked meanwhile."""

    async def everything() -> list[tuple[float, bool]]:
        agent = Agent()
        agent.failures = [UnavailableError("no agent")] * failures
        agent.takes_s = takes_s
        protection = Protection(agent)
        telling = asyncio.create_task(story(protection, agent))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await protection.run()
        await telling
        return agent.asked

    return run(everything())


def jobs(*times: tuple[float, int]) -> Callable[[Protection, Agent], Coroutine[Any, Any, None]]:
    """At these times there are so many jobs."""

    async def story(protection: Protection, _agent: Agent) -> None:
        for at, running in times:
            await asyncio.sleep(at - now())
            protection.changed(running)

    return story


ON, OFF = True, False


def test_an_idle_worker_asks_for_nothing() -> None:
    assert play(jobs(), seconds=10_000) == []


def test_on_with_the_first_job_and_off_a_while_after_the_last() -> None:
    asked = play(jobs((5, 1), (6, 2), (7, 1), (8, 0)), seconds=1000)
    assert asked == [(5, ON), (8 + IDLE_S, OFF)]


def test_renewed_long_before_it_expires() -> None:
    asked = play(jobs((0, 1), (4000, 0)), seconds=5000)
    assert asked[-1] == (4000 + IDLE_S, OFF)
    renewals = [at for at, on in asked if on]
    assert renewals == [n * RENEW_S for n in range(7)]
    assert RENEW_S * 2 < EXPIRY_MIN * 60


def test_a_worker_that_is_hardly_ever_idle_does_not_flap() -> None:
    times = [(n * IDLE_S / 2, n % 2) for n in range(1, 100)]  # busy, idle, busy, ...
    asked = play(jobs(*times, (5000, 0)), seconds=5200)
    assert [on for _, on in asked].count(OFF) == 1
    assert asked[-1] == (5000 + IDLE_S, OFF)


def test_busy_again_right_after_its_end() -> None:
    asked = play(jobs((0, 1), (10, 0), (10 + IDLE_S + 0.5, 1)), seconds=60, takes_s=1.0)
    assert asked == [(0, ON), (10 + IDLE_S, OFF), (10 + IDLE_S + 1, ON)]


def test_a_failure_is_tried_again_soon_while_there_is_work() -> None:
    asked = play(jobs((0, 1)), seconds=RETRY_S * 3 + 1, failures=2)
    assert asked == [(0, ON), (RETRY_S, ON), (RETRY_S * 2, ON)]


def test_an_agent_that_is_away_keeps_no_idle_task_busy_for_long() -> None:
    asked = play(jobs((0, 1), (1, 0)), seconds=10_000, failures=20)
    assert {at for at, on in asked if on} <= set(range(32))
    offs = [at for at, on in asked if not on]
    assert offs[0] == 1 + IDLE_S
    assert len(offs) == 20 - len(asked) + len(offs) + 1  # the last one did it


def test_work_that_comes_while_the_end_fails_is_protected_at_once() -> None:
    async def story(protection: Protection, agent: Agent) -> None:
        protection.changed(1)
        await asyncio.sleep(1)
        protection.changed(0)
        agent.failures = [UnavailableError("no agent")]
        await asyncio.sleep(IDLE_S + 1)
        protection.changed(1)

    assert play(story, seconds=50) == [(0, ON), (1 + IDLE_S, OFF), (2 + IDLE_S, ON)]


@pytest.mark.parametrize("error", [UnavailableError("x"), TypeError("a bug")])
def test_no_failure_ends_it(error: Exception) -> None:
    async def story(protection: Protection, agent: Agent) -> None:
        agent.failures = [error]
        protection.changed(1)

    assert play(story, seconds=RETRY_S + 1) == [(0, ON), (RETRY_S, ON)]
