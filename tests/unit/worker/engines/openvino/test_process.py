import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.unit.worker.engines.openvino.scripted_pipeline import (
    COUNT,
    CRASH,
    DIE_LOADING,
    ENDLESS,
    REFUSE,
)
from worker.engines.openvino.process import PipelineGeneration, PipelineProcess
from worker.engines.protocol import EngineDeadError, EngineError

SCRIPT = Path(__file__).with_name("scripted_pipeline.py")


class Started:
    def __init__(self, *arguments: str) -> None:
        self.deaths: asyncio.Queue[EngineDeadError] = asyncio.Queue()
        self.process = PipelineProcess(
            command=(sys.executable, str(SCRIPT), *arguments), on_death=self.deaths.put_nowait
        )

    def submit(self, *token_ids: int) -> PipelineGeneration:
        generation = PipelineGeneration("r")
        self.process.submit(generation, token_ids, {})
        return generation

    def child(self) -> psutil.Process:
        mine = psutil.Process().children()
        return next(child for child in mine if str(SCRIPT) in child.cmdline())


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    started = Started()
    await started.process.start()
    yield started
    await started.process.close()


async def rest_of(generation: PipelineGeneration) -> list[int]:
    token_ids: list[int] = []
    reason = None
    while reason is None and (arrived := await generation.tokens()):
        token_ids += arrived[0]
        reason = arrived[1]
    return token_ids


async def test_tokens_come_to_the_request_they_belong_to(started: Started) -> None:
    generations = [started.submit(*range(i, i + 50)) for i in range(20)]
    answers = await asyncio.gather(*map(rest_of, generations))
    assert answers == [list(range(i, i + 50)) for i in range(20)]


async def test_a_cancelled_request_is_off_the_pipeline_and_others_go_on(started: Started) -> None:
    endless = started.submit(ENDLESS)
    await endless.tokens()
    started.process.cancel(endless)
    assert await rest_of(started.submit(1, COUNT, 3)) == [1, 1, 3]
    assert endless._arrived == []


async def test_cancelling_what_is_over_is_nothing(started: Started) -> None:
    generation = started.submit(1)
    await rest_of(generation)
    started.process.cancel(generation)
    started.process.cancel(PipelineGeneration("never submitted"))
    assert await rest_of(started.submit(2)) == [2]


async def test_a_refused_request_fails_alone(started: Started) -> None:
    fine = started.submit(1, 2)
    with pytest.raises(EngineError, match="could not run") as refused:
        await started.submit(REFUSE).tokens()
    assert not isinstance(refused.value, EngineDeadError)
    assert await rest_of(fine) == [1, 2]


@pytest.mark.parametrize(
    "kill",
    [
        lambda started: started.submit(CRASH),
        lambda started: os.kill(started.child().pid, signal.SIGKILL),
    ],
    ids=["the step raises", "killed"],
)
async def test_the_end_of_the_child_is_told(
    started: Started, kill: Callable[[Started], object]
) -> None:
    kill(started)
    async with asyncio.timeout(10):
        assert "status" in str(await started.deaths.get())
    assert not started.process.alive


async def test_close_ends_the_child_and_is_no_death(started: Started) -> None:
    child = started.child()
    started.submit(ENDLESS)
    await started.process.close()
    await started.process.close()
    assert not child.is_running()
    assert not started.process.alive
    assert started.deaths.empty()


async def test_a_child_that_does_not_get_ready() -> None:
    failing = Started(DIE_LOADING)
    with pytest.raises(EngineError, match="while it loaded"):
        await failing.process.start()
    assert failing.deaths.empty()
    await failing.process.close()
