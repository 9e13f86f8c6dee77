"""Task protection in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from axon.exceptions import UnavailableError
from tests.support.virtual_time import now, run
from worker.cluster.task_protection import EXPIRY_MIN, IDLE_S, RENEW_S, RETRY_S, TaskProtection


class RecordingAgent:
    """Records its calls and their times; `failures` are raised first, one by one."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, bool]] = []
        self.failures: list[Exception] = []
        self.call_s = 0.0

    async def protect(self, *, minutes: int | None) -> None:
        assert minutes in (EXPIRY_MIN, None)
        self.calls.append((round(now(), 3), minutes is not None))
        await asyncio.sleep(self.call_s)
        if self.failures:
            raise self.failures.pop(0)


def play(
    story: Callable[[TaskProtection, RecordingAgent], Coroutine[Any, Any, None]],
    *,
    seconds: float,
    failures: int = 0,
    call_s: float = 0.0,
) -> list[tuple[float, bool]]:
    """Play a story; return the agent's calls: time, and whether the task was to be protected."""

    async def play_story() -> list[tuple[float, bool]]:
        agent = RecordingAgent()
        agent.failures = [UnavailableError("no agent")] * failures
        agent.call_s = call_s
        protection = TaskProtection(agent)
        telling = asyncio.create_task(story(protection, agent))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await protection.run()
        await telling
        return agent.calls

    return run(play_story())


def jobs(
    *times: tuple[float, int],
) -> Callable[[TaskProtection, RecordingAgent], Coroutine[Any, Any, None]]:
    """Return a story that has these numbers of jobs at these times."""

    async def story(protection: TaskProtection, _agent: RecordingAgent) -> None:
        for at, running in times:
            await asyncio.sleep(at - now())
            protection.jobs_changed(running)

    return story


ON, OFF = True, False


def test_task_protection_of_an_idle_worker_makes_no_call() -> None:
    assert play(jobs(), seconds=10_000) == []


def test_task_protection_begins_with_the_first_job_and_ends_after_the_idle_time() -> None:
    calls = play(jobs((5, 1), (6, 2), (7, 1), (8, 0)), seconds=1000)
    assert calls == [(5, ON), (8 + IDLE_S, OFF)]


def test_task_protection_is_renewed_long_before_it_expires() -> None:
    calls = play(jobs((0, 1), (4000, 0)), seconds=5000)
    assert calls[-1] == (4000 + IDLE_S, OFF)
    renewals = [at for at, on in calls if on]
    assert renewals == [n * RENEW_S for n in range(7)]
    assert RENEW_S * 2 < EXPIRY_MIN * 60


def test_task_protection_stays_on_between_short_idle_times() -> None:
    times = [(n * IDLE_S / 2, n % 2) for n in range(1, 100)]  # busy, idle, busy, ...
    calls = play(jobs(*times, (5000, 0)), seconds=5200)
    assert [on for _, on in calls].count(OFF) == 1
    assert calls[-1] == (5000 + IDLE_S, OFF)


def test_task_protection_begins_again_right_after_its_end() -> None:
    calls = play(jobs((0, 1), (10, 0), (10 + IDLE_S + 0.5, 1)), seconds=60, call_s=1.0)
    assert calls == [(0, ON), (10 + IDLE_S, OFF), (10 + IDLE_S + 1, ON)]


def test_task_protection_retries_a_failure_while_there_are_jobs() -> None:
    calls = play(jobs((0, 1)), seconds=RETRY_S * 3 + 1, failures=2)
    assert calls == [(0, ON), (RETRY_S, ON), (RETRY_S * 2, ON)]


def test_task_protection_of_an_idle_worker_is_ended_once_the_agent_answers() -> None:
    calls = play(jobs((0, 1), (1, 0)), seconds=10_000, failures=20)
    assert {at for at, on in calls if on} <= set(range(32))
    offs = [at for at, on in calls if not on]
    assert offs[0] == 1 + IDLE_S
    assert len(offs) == 20 - len(calls) + len(offs) + 1  # the last one did it


def test_task_protection_begins_at_once_while_its_end_is_retried() -> None:
    async def story(protection: TaskProtection, agent: RecordingAgent) -> None:
        protection.jobs_changed(1)
        await asyncio.sleep(1)
        protection.jobs_changed(0)
        agent.failures = [UnavailableError("no agent")]
        await asyncio.sleep(IDLE_S + 1)
        protection.jobs_changed(1)

    assert play(story, seconds=50) == [(0, ON), (1 + IDLE_S, OFF), (2 + IDLE_S, ON)]


@pytest.mark.parametrize("error", [UnavailableError("x"), TypeError("a bug")])
def test_task_protection_survives_any_failure(error: Exception) -> None:
    async def story(protection: TaskProtection, agent: RecordingAgent) -> None:
        agent.failures = [error]
        protection.jobs_changed(1)

    assert play(story, seconds=RETRY_S + 1) == [(0, ON), (RETRY_S, ON)]
