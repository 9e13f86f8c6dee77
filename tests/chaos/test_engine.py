"""The engine that hangs, and the clock that steps, when the harness asks for it."""

import asyncio
import time
from collections.abc import AsyncIterable
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.chaos.control import Control, shift_clock
from tests.chaos.engine import ChaosEngine
from tests.chaos.tokens import TokenFile, attempts
from worker.engines.echo.engine import EchoPace
from worker.engines.protocol import EngineDeadError, GenerateRequest, Sampling, TokenChunk


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChaosEngine:
    folder = tmp_path / "tokens"
    folder.mkdir()
    control = Control(tmp_path / "control")
    monkeypatch.setattr(ChaosEngine, "file", TokenFile(folder / "worker-0.1"), raising=False)
    monkeypatch.setattr(ChaosEngine, "control", control, raising=False)
    engine = ChaosEngine(slots=2, pace=EchoPace(token_s=0.001))
    await engine.start()
    return engine


async def request(engine: ChaosEngine, number: int = 1) -> GenerateRequest:
    prompt = await engine.assemble("echo", [])
    return GenerateRequest(
        request_id=f"resp_{number}-1",
        model="echo",
        prompt=type(prompt)(token_ids=(), text="count to 500"),
        sampling=Sampling(max_tokens=500),
    )


async def test_engine_hangs_for_ever_until_its_generations_are_aborted(
    engine: ChaosEngine, tmp_path: Path
) -> None:
    async with aclosing(engine.generate(await request(engine))) as chunks:
        first = await anext(chunks)
        assert first.text == "1"
        Control(tmp_path / "control").hang(in_abort=False)
        rest = asyncio.create_task(_collect(chunks))
        done, _ = await asyncio.wait([rest], timeout=0.05)
        assert not done
        assert await engine.health()
        await engine.abort("resp_1-1")
        assert await rest == []
    (attempt,) = attempts(tmp_path / "tokens")
    assert (attempt.tokens, attempt.running) == (1, False)


async def test_engine_hangs_in_abort_and_is_healed_by_a_restart(
    engine: ChaosEngine, tmp_path: Path
) -> None:
    Control(tmp_path / "control").hang(in_abort=True)
    chunks = engine.generate(await request(engine))
    hung = asyncio.create_task(_collect(chunks))
    aborting = asyncio.create_task(engine.abort("resp_1-1"))
    done, _ = await asyncio.wait([hung, aborting], timeout=0.05)
    assert not done
    await engine.close()
    with pytest.raises(EngineDeadError):
        await hung
    aborting.cancel()
    await engine.start()
    generated = await _collect(engine.generate(await request(engine, 2)))
    assert sum(len(chunk.token_ids) for chunk in generated) == 500


async def test_clock_follows_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, getattr(time, name))
    before = time.time()
    control = Control(tmp_path / "control")
    shift_clock(control)
    Control(tmp_path / "control").clock_s = -60.0
    assert before - 61 < time.time() < before - 50
    assert before - 61 < time.time_ns() / 1e9 < before - 50
    control.clock_s = 0.0
    assert time.time() >= before


async def _collect(chunks: AsyncIterable[TokenChunk]) -> list[TokenChunk]:
    return [chunk async for chunk in chunks]
