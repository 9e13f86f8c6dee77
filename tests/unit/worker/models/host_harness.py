"""A worker's models over a fake of what is wanted, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from axon.directory.workers import ModelState
from axon.exceptions import SettingsError
from axon.models.desired import DesiredModel
from axon.testing.stores import FakeWantedModels
from tests.support.virtual_time import now
from tests.unit.worker.models.stub_engines import Adaptable
from worker.engines.protocol import Engine
from worker.models.host import ModelHost
from worker.models.metrics import HostingMetrics
from worker.models.reconciler import Reconciler

OWN = DesiredModel("own", {}, 0)


class Scene:
    """A worker with its own model; `load_s` and `error` say what becomes of others by their name.

    `loads` are the models whose engines were started, and when.
    """

    def __init__(self) -> None:
        self.wanted = FakeWantedModels()
        self.changed = asyncio.Event()
        self.host = ModelHost(slots=4, stop_timeout_s=20.0)
        self.registry = CollectorRegistry()
        self.load_s: dict[str, float] = {}
        self.error: dict[str, Exception] = {}
        self.loads: list[tuple[float, str, int]] = []
        self.engines: dict[tuple[str, int], Adaptable] = {}
        self.answers: list[asyncio.Task[str]] = []
        self.reconciler = Reconciler(
            host=self.host,
            wanted=self.wanted,
            own=OWN,
            create=self._create,
            changed=self.changed,
            metrics=HostingMetrics(registry=self.registry, models=self.host.models),
        )

    def _create(self, model: DesiredModel) -> Engine:
        self.loads.append((round(now(), 3), model.name, model.version))
        error = self.error.get(model.name)
        if isinstance(error, SettingsError):
            raise error
        engine = Adaptable(load_s=self.load_s.get(model.name, 1.0), error=error)
        self.engines[model.name, model.version] = engine
        return engine

    async def say(self, name: str, settings: Mapping[str, Any] | None) -> None:
        await self.wanted.put(name, settings)
        self.changed.set()

    def states(self) -> list[tuple[str, ModelState, int]]:
        return sorted((held.name, held.state, held.version) for held in self.host.models())

    def told(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def a_scene() -> AsyncGenerator[Scene]:
    scene = Scene()
    scene.host.take_over("own", 0, await _started())
    running = asyncio.create_task(scene.reconciler.run())
    try:
        yield scene
    finally:
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait([running])
        await scene.host.close()


async def _started() -> Adaptable:
    engine = Adaptable()
    await engine.start()
    return engine
