"""Start of a worker's models: the deployment's own, and the reconciler that loads the others."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from axon.engine_settings import EngineSettings
from axon.models.desired import DesiredModel, DesiredModels
from axon.models.settings import engine_settings, unpacked
from axon.upstream_hosts import UpstreamHosts
from worker.engines.protocol import Engine, EngineInfo
from worker.models.host import ModelHost, start_or_close
from worker.models.metrics import ModelMetrics
from worker.models.reconciler import Reconciler

DEPLOYMENT_VERSION = 0
"""Version of the deployment's own model; those that the operator sets begin at 1."""

_UPSTREAM_S = 10.0
_TRUST = (
    "trust_remote_code",
    "allow_pickled_weights",
    "allow_unverified_weights",
    "upstream_hosts",
)

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
    host = ModelHost(
        slots=settings.slots,
        stop_timeout_s=settings.stop_timeout_s,
        stall_s=stall_s_of(settings),
        start_timeout_s=settings.engine_start_timeout_s,
    )
    engine = create(settings)
    stack.push_async_callback(host.close)
    await start_or_close(engine, within_s=settings.engine_start_timeout_s)
    host.serve(_deployment_name(settings, engine.info()), DEPLOYMENT_VERSION, engine)
    return host


def stall_s_of(settings: EngineSettings) -> float:
    """Return after how many seconds without a token a running engine hangs.

    An upstream has time limits of its own, which fail the request and not the worker: they come
    first. An answer is silent for at most twice the limit for a first token: pauses before
    retries, as for a 429 with `Retry-After`, and one last request (`_Retries` of the engine).
    """
    if settings.upstream_url is None:
        return settings.engine_stall_s
    return max(settings.engine_stall_s, 2 * settings.upstream_first_token_timeout_s + _UPSTREAM_S)


def create_reconciler(
    settings: EngineSettings,
    *,
    host: ModelHost,
    create: CreateEngine,
    desired: DesiredModels,
    changed: asyncio.Event,
    metrics: ModelMetrics,
) -> Reconciler:
    """Return the reconciler of a host that `start_host` returned."""
    (name,) = host.versions()
    return Reconciler(
        host=host,
        desired=desired,
        deployment=DesiredModel(name, settings={}, version=DEPLOYMENT_VERSION),
        create=lambda model: create(settings_of(model, deployment=settings)),
        changed=changed,
        metrics=metrics,
    )


def settings_of(model: DesiredModel, *, deployment: EngineSettings) -> EngineSettings:
    """Return the engine's settings for a desired model.

    Without a setting of its own it has as many slots as the worker. The API key of the
    deployment's upstream is passed to the same upstream only, never to another server; a key
    without an upstream is for all. Whom to trust (hosts, code, pickles) is the deployment's.

    Raises
    ------
    SettingsError
        The model's settings are not valid.
    """
    if model.version == DEPLOYMENT_VERSION:
        return deployment
    changes, _ = unpacked(model.settings or {})
    settings = engine_settings(
        model.name,
        {"slots": deployment.slots, **changes},
        hosts=UpstreamHosts(deployment.upstream_hosts, own_url=deployment.upstream_url),
    )
    shared = deployment.upstream_url in (None, settings.upstream_url)
    key = deployment.upstream_api_key if shared else None
    trust = {name: getattr(deployment, name) for name in _TRUST}
    return settings.model_copy(update={"upstream_api_key": key, **trust})


def _deployment_name(settings: EngineSettings, info: EngineInfo) -> str:
    if settings.model_name is not None:
        return settings.model_name
    return info.models[0].id if len(info.models) == 1 else settings.engine
