import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.unit.worker.engines.openvino.pipeline_stub import (
    COUNT,
    CRASH,
    DIE_LOADING,
    ENDLESS,
    REFUSE,
)
from worker.engines.openvino.process import PipelineGeneration, PipelineProcess
from worker.engines.protocol import EngineDeadError, EngineError

SCRIPT = Path(__file__).with_name("pipeline_stub.py")


class ProcessHarness:
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
async def started() -> AsyncIterator[ProcessHarness]:
    started = ProcessHarness()
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


async def test_pipeline_process_delivers_tokens_to_their_request(started: ProcessHarness) -> None:
    generations = [started.submit(*range(i, i + 50)) for i in range(20)]
    answers = await asyncio.gather(*map(rest_of, generations))
    assert answers == [list(range(i, i + 50)) for i in range(20)]


async def test_pipeline_process_cancels_one_request_only(started: ProcessHarness) -> None:
    endless = started.submit(ENDLESS)
    await endless.tokens()
    started.process.cancel(endless)
    assert await rest_of(started.submit(1, COUNT, 3)) == [1, 1, 3]
    assert endless._arrived == []


async def test_pipeline_process_ignores_the_cancellation_of_an_ended_request(
    started: ProcessHarness,
) -> None:
    generation = started.submit(1)
    await rest_of(generation)
    started.process.cancel(generation)
    started.process.cancel(PipelineGeneration("never submitted"))
    assert await rest_of(started.submit(2)) == [2]


async def test_pipeline_process_fails_a_refused_request_alone(started: ProcessHarness) -> None:
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
async def test_pipeline_process_reports_the_death_of_the_child(
    started: ProcessHarness, kill: Callable[[ProcessHarness], object]
) -> None:
    kill(started)
    async with asyncio.timeout(10):
        assert "status" in str(await started.deaths.get())
    assert not started.process.alive


async def test_pipeline_process_close_is_not_reported_as_a_death(started: ProcessHarness) -> None:
    child = started.child()
    started.submit(ENDLESS)
    await started.process.close()
    await started.process.close()
    assert not child.is_running()
    assert not started.process.alive
    assert started.deaths.empty()


async def test_pipeline_process_raises_if_the_child_ends_before_it_is_ready() -> None:
    failing = ProcessHarness(DIE_LOADING)
    with pytest.raises(EngineError, match="while it loaded"):
        await failing.process.start()
    assert failing.deaths.empty()
    await failing.process.close()
