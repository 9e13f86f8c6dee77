import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from benchmarks.engine import sides
from benchmarks.engine.model import AXON, DIRECT, Work
from benchmarks.load_process import LoadError
from benchmarks.peers import Peer
from tests.unit.benchmarks.engine.axon_harness import answer, axon

WORK = Work(clients=2, questions=2, tokens=5, first=1)
ECHO = {
    "AXON_ENGINE": "echo",
    "AXON_SLOTS": "2",
    "AXON_VALKEY_URL": "redis://127.0.0.1:1",
    "AXON_POSTGRES_DSN": "host=127.0.0.1 port=1",
    "AXON_JOBS_QUEUE_URL": "http://127.0.0.1:1/jobs",
    "AXON_HISTORY_QUEUE_URL": "http://127.0.0.1:1/history.fifo",
}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sides, "BENCH", tmp_path / "not made yet")


@asynccontextmanager
async def cloud(settings: dict[str, str]) -> AsyncIterator[Peer]:
    """A cloud that answers, and whose worker does nothing but have these settings."""
    program = "import time; time.sleep(100)"
    environment = os.environ | settings
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment)
    async with axon(answer("a", text="a", last="response.completed")) as (url, _):
        peer: Any = SimpleNamespace(url=url, model="m", roots=lambda: {worker.pid: "worker-0"})
        try:
            yield cast("Peer", peer)
        finally:
            worker.kill()
            await worker.wait()


async def test_sides_work_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sides, "_REST_S", 0)
    async with cloud(ECHO) as peer, sides.open_sides(peer) as both:
        direct, through = await both.leg(DIRECT, WORK), await both.leg(AXON, WORK)
        again = await both.leg(DIRECT, WORK)
    assert direct.seen.failures == through.seen.failures == again.seen.failures == []
    assert direct.seen.tokens == through.seen.tokens == 20
    assert set(direct.cpu_s) == {"engine"}
    assert set(through.cpu_s) == {"worker-0"}
    assert len(again.seen.first_tokens_ms) == 4


async def test_sides_report_an_engine_that_does_not_start() -> None:
    settings = ECHO | {"AXON_ENGINE": "vllm"}  # without a model
    async with cloud(settings) as peer:
        with pytest.raises(LoadError, match="did not start"):
            async with sides.open_sides(peer):
                pass


async def test_sides_pin_the_engines_processes_to_their_core() -> None:
    core = min(os.sched_getaffinity(0))
    child = "import time; print(flush=True); time.sleep(100)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    inner: psutil.Process | None = None
    try:
        await parent.stdout.readline()
        inner = psutil.Process(parent.pid).children()[0]
        sides.pin_children(parent.pid, core)
        assert os.sched_getaffinity(inner.pid) == {core}
        assert os.sched_getaffinity(parent.pid) == os.sched_getaffinity(0)
    finally:
        if inner is not None:
            inner.kill()
        parent.kill()
        await parent.wait()
