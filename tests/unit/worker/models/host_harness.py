"""The host and the reconciler over a fake of the desired state, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from axon.directory.workers import ModelState
from axon.exceptions import SettingsError
from axon.models.desired import DesiredModel
from axon.testing.stores import FakeDesiredModels
from tests.support.virtual_time import now
from tests.unit.worker.models.engine_stub import Adaptable
from worker.engines.protocol import Engine
from worker.models.host import ModelHost
from worker.models.metrics import ModelMetrics
from worker.models.reconciler import Reconciler

OWN = DesiredModel("own", {}, 0)


class ModelsHarness:
    """A host with one model, and its reconciler.

    `load_s` and `error` set the load time (seconds) and the error of other models, by name; `loads`
    holds (time, name, version) of each engine that was created.
    """

    def __init__(self) -> None:
        self.desired = FakeDesiredModels()
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
            desired=self.desired,
            deployment=OWN,
            create=self._create,
            changed=self.changed,
            metrics=ModelMetrics(registry=self.registry, models=self.host.models),
        )

    def _create(self, model: DesiredModel) -> Engine:
        self.loads.append((round(now(), 3), model.name, model.version))
        error = self.error.get(model.name)
        if isinstance(error, SettingsError):
            raise error
        engine = Adaptable(load_s=self.load_s.get(model.name, 1.0), error=error)
        self.engines[model.name, model.version] = engine
        return engine

    async def set_model(self, name: str, settings: Mapping[str, Any] | None) -> None:
        await self.desired.put(name, settings)
        self.changed.set()

    def states(self) -> list[tuple[str, ModelState, int]]:
        return sorted((status.name, status.state, status.version) for status in self.host.models())

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def running_harness() -> AsyncGenerator[ModelsHarness]:
    harness = ModelsHarness()
    harness.host.serve("own", 0, await _started())
    running = asyncio.create_task(harness.reconciler.run())
    try:
        yield harness
    finally:
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait([running])
        await harness.host.close()


async def _started() -> Adaptable:
    engine = Adaptable()
    await engine.start()
    return engine
