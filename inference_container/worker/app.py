"""Run a worker: start, serve until told to stop, drain, leave."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from axon.adapters.aws.ecs_agent import EcsAgent
from axon.adapters.observability.health import Health, serve_health
from axon.settings import WorkerSettings
from axon.tasks import end, run_until
from worker.cluster.task_protection import TaskProtection
from worker.composition import Parts, create_parts, open_foundation
from worker.engines.protocol import Engine

logger = logging.getLogger(__name__)


async def serve(
    settings: WorkerSettings,
    *,
    stop: asyncio.Event,
    agent_uri: str | None = None,
    started: Callable[[], object] = lambda: None,
    closing: Callable[[], object] = lambda: None,
) -> None:
    """Serve until `stop` is set, then drain.

    Parameters
    ----------
    settings : WorkerSettings
        The worker's settings.
    stop : asyncio.Event
        Set at SIGTERM or SIGINT.
    agent_uri : str | None
        Address of the ECS agent that protects this task from a scale-in while it has jobs.
    started : Callable[[], object]
        Called once the engine has started, before the first job.
    closing : Callable[[], object]
        Called once the jobs have ended, before engine and clients are closed.

    Raises
    ------
    EngineDeadError
        The engine has died; its jobs were released.
    PermanentRefusalError
        The jobs queue refuses to be received from; running jobs have ended or were handed over.
    """
    async with AsyncExitStack() as stack:
        foundation = await open_foundation(settings, stack)
        protection = TaskProtection(EcsAgent(uri=agent_uri)) if agent_uri else None
        parts = create_parts(
            foundation,
            load_changed=protection.jobs_changed if protection else lambda _: None,
        )
        if port := settings.health_port:
            host = foundation.host
            # An upstream that is away is not this process's fault, and a new one would not help. A
            # dead engine of our own is: no job would find it while nobody asks.
            alive = None if settings.engine == "openai" else host.health
            health = Health(partial(_health, host, parts), alive=alive)
            runner = await serve_health(
                health, port=port, registry=foundation.registry, token=settings.health_token
            )
            stack.push_async_callback(runner.cleanup)
        models = ", ".join(_served(foundation.host))
        logger.info("serving %s with %d slots", models, settings.slots)
        started()
        try:
            await _run(parts, settings, stop=stop, protection=protection)
        finally:
            closing()


async def _run(
    parts: Parts,
    settings: WorkerSettings,
    *,
    stop: asyncio.Event,
    protection: TaskProtection | None,
) -> None:
    """Run the parts until `stop` is set or one of them fails, then drain.

    The subscription outlives everything else. A peer may have handed a job over just before this
    worker left the directory; only a subscriber can release it before its visibility timeout.
    """
    subscription = asyncio.create_task(parts.peer_jobs.run())
    # It beats until the last job has ended or was released: peers would take it for dead before.
    liveness = asyncio.create_task(parts.liveness.run())
    # A failover during the drain loses ends, too.
    keeping = asyncio.create_task(parts.kept_ends.run())
    protecting = [protection.run()] if protection else []
    try:
        try:
            await run_until(
                stop,
                parts.consumer.consume(),
                parts.registration.run(),
                parts.reconciler.run(),
                parts.watchdog.run(),
                _ended(subscription),
                _ended(liveness),
                _ended(keeping),
                *protecting,
            )
        except Exception:
            await _leave(parts, settings)  # a failed part is no reason to drop the jobs
            raise
        await _leave(parts, settings)
    finally:
        await end(subscription, liveness, keeping)
        await parts.liveness.leave()


async def _leave(parts: Parts, settings: WorkerSettings) -> None:
    await parts.registration.leave()  # before the drain: peers hand nothing over any more
    await asyncio.gather(parts.consumer.drain(settings.stop_timeout_s), parts.peer_jobs.catch_up())
    await parts.consumer.settled()  # what arrived after the consumer had drained


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


async def _health(engine: Engine, parts: Parts) -> dict[str, object] | None:
    if not (parts.registration.announced.is_set() and await engine.health()):
        return None
    return {"models": _served(engine), "running": parts.consumer.running}


def _served(engine: Engine) -> list[str]:
    return [model.id for model in engine.info().models]
