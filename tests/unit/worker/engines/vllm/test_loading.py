import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from worker.engines.vllm import loading
from worker.engines.vllm.model import VllmModel

MODEL = VllmModel(name="m", uri="/m")


class StubVllm:
    """Stands for vLLM's engine; loads when the test lets it."""

    def __init__(self) -> None:
        self.go, self.down = Event(), Event()

    def load(self, *_: Any) -> "StubVllm":
        assert self.go.wait(10)
        return self

    def shutdown(self) -> None:
        self.down.set()


async def test_load_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = StubVllm()
    monkeypatch.setattr(loading, "_load", engine.load)
    running = asyncio.create_task(loading.load(MODEL, folder=Path("/m"), slots=1))
    await asyncio.sleep(0)
    engine.go.set()  # nobody could, if the loop were blocked
    assert await running is engine
    assert not engine.down.is_set()


async def test_load_that_is_cancelled_shuts_the_engine_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = StubVllm()
    monkeypatch.setattr(loading, "_load", engine.load)
    running = asyncio.create_task(loading.load(MODEL, folder=Path("/m"), slots=1))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not engine.down.is_set()
    engine.go.set()
    assert await asyncio.to_thread(engine.down.wait, 10)


async def test_load_raises_vllms_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no weights")

    monkeypatch.setattr(loading, "_load", fail)
    with pytest.raises(ValueError, match="no weights"):
        await loading.load(MODEL, folder=Path("/m"), slots=1)
