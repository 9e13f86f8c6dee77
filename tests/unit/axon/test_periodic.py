import asyncio

import pytest

from axon.exceptions import UnavailableError
from axon.periodic import every


class Steps:
    def __init__(self, *outcomes: Exception | None) -> None:
        self.until = asyncio.Event()
        self._outcomes = list(outcomes)

    async def step(self) -> None:
        outcome = self._outcomes.pop(0)
        if not self._outcomes:
            self.until.set()
        if outcome is not None:
            raise outcome


async def test_every_continues_after_errors_and_ends_between_steps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = Steps(None, UnavailableError("away"), ZeroDivisionError("defect"), None)
    async with asyncio.timeout(5):
        await every(0.001, steps.step, until=steps.until)
    assert "Steps.step: away" in caplog.text
    assert "defect" in caplog.text


async def test_every_finishes_a_step_before_it_ends() -> None:
    until, release = asyncio.Event(), asyncio.Event()
    finished = []

    async def step() -> None:
        await release.wait()
        finished.append(True)

    running = asyncio.create_task(every(60, step, until=until))
    await asyncio.sleep(0)
    until.set()
    await asyncio.sleep(0)
    assert not running.done()
    release.set()
    await running
    assert finished


async def test_every_cuts_the_pause_short_at_its_end() -> None:
    until = asyncio.Event()

    async def step() -> None:
        return

    running = asyncio.create_task(every(60, step, until=until))
    await asyncio.sleep(0)
    until.set()
    async with asyncio.timeout(1):
        await running


async def test_every_cuts_each_pause_short_on_request() -> None:
    until, sooner = asyncio.Event(), asyncio.Event()
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def step() -> None:
        begun.put_nowait(None)

    tasks = len(asyncio.all_tasks())
    running = asyncio.create_task(every(60, step, until=until, sooner=sooner))
    async with asyncio.timeout(5):
        for _ in range(5):
            await begun.get()
            assert begun.empty()
            sooner.set()
        await begun.get()
        assert len(asyncio.all_tasks()) == tasks + 1
        until.set()
        sooner.set()
        await running


async def test_every_keeps_a_request_made_during_a_step() -> None:
    until, sooner = asyncio.Event(), asyncio.Event()
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        sooner.set()
        if steps == 3:
            until.set()

    async with asyncio.timeout(5):
        await every(60, step, until=until, sooner=sooner)
    assert steps == 3
