"""The run of a worker's parts, in virtual time."""

import asyncio
from types import SimpleNamespace
from typing import cast

from axon.settings import WorkerSettings
from tests.support.virtual_time import run
from worker import app
from worker.composition import Parts


class PartsHarness:
    """Parts of a worker that do nothing; `running` names those that run."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.during_drain: set[str] = set()
        names = ("peer_jobs", "liveness", "registration", "reconciler", "watchdog", "kept_ends")
        self.parts = SimpleNamespace(
            **{name: self._part(name) for name in names},
            consumer=SimpleNamespace(
                consume=lambda: self._run("consumer"), drain=self._drain, settled=self._nothing
            ),
        )

    def _part(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(
            run=lambda: self._run(name), leave=self._nothing, catch_up=self._nothing
        )

    async def _run(self, name: str) -> None:
        self.running.add(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.running.discard(name)

    async def _drain(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)
        self.during_drain = set(self.running)

    async def _nothing(self) -> None: ...


def test_worker_keeps_ends_and_beats_until_it_has_drained() -> None:
    async def story() -> None:
        harness, stop = PartsHarness(), asyncio.Event()
        settings = cast("WorkerSettings", SimpleNamespace(stop_timeout_s=20.0))
        parts = cast("Parts", harness.parts)
        running = asyncio.create_task(app._run(parts, settings, stop=stop, protection=None))
        await asyncio.sleep(1)
        assert "consumer" in harness.running
        stop.set()
        await running
        assert harness.during_drain == {"peer_jobs", "liveness", "kept_ends"}
        assert not harness.running

    run(story())
