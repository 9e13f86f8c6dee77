"""A worker's models: the deployment's own, and the reconciler that brings the others."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from axon.models.desired import DesiredModel, DesiredModels
from axon.models.settings import engine_settings, unpacked
from axon.settings import EngineSettings
from worker.engines.protocol import Engine, EngineInfo
from worker.models.host import ModelHost, start
from worker.models.metrics import HostingMetrics
from worker.models.reconciler import Reconciler

OWN_VERSION = 0
"""What the deployment's own model has instead of a version that was said."""

CreateEngine = Callable[[EngineSettings], Engine]


async def start_host(
    settings: EngineSettings, stack: AsyncExitStack, *, create: CreateEngine
) -> ModelHost:
    """Return a host that serves the deployment's own model; the stack closes it.

    Raises
    ------
    EngineError
        The model cannot be served.
    """
    host = ModelHost(slots=settings.slots, stop_timeout_s=settings.stop_timeout_s)
    engine = create(settings)
    stack.push_async_callback(host.close)
    await start(engine)
    host.take_over(_own_name(settings, engine.info()), OWN_VERSION, engine)
    return host


def reconciler(
    settings: EngineSettings,
    *,
    host: ModelHost,
    create: CreateEngine,
    wanted: DesiredModels,
    changed: asyncio.Event,
    metrics: HostingMetrics,
) -> Reconciler:
    """Return what brings a host that was just started to what is wanted."""
    (name,) = host.versions()
    return Reconciler(
        host=host,
        wanted=wanted,
        own=DesiredModel(name, settings={}, version=OWN_VERSION),
        create=lambda model: create(settings_of(model, deployment=settings)),
        changed=changed,
        metrics=metrics,
    )


def settings_of(model: DesiredModel, *, deployment: EngineSettings) -> EngineSettings:
    """Return how an engine is to serve a wanted model.

    It runs as many requests as the worker does if nothing else was said. The key of the
    deployment's upstream is shown to no other one; without such it is for all.

    Raises
    ------
    SettingsError
        What was said cannot be done.
    """
    if model.version == OWN_VERSION:
        return deployment
    said, _ = unpacked(model.settings or {})
    settings = engine_settings(model.name, {"slots": deployment.slots, **said})
    shared = deployment.upstream_url in (None, settings.upstream_url)
    key = deployment.upstream_api_key if shared else None
    return settings.model_copy(update={"upstream_api_key": key})


def _own_name(settings: EngineSettings, info: EngineInfo) -> str:
    if settings.model_name is not None:
        return settings.model_name
    return info.models[0].id if len(info.models) == 1 else settings.engine
