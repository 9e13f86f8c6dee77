"""Puts a worker together, runs it, and takes it apart."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from axon.adapters.aws.ecs_agent import EcsAgent
from axon.adapters.aws.sqs import SqsHistorySender, SqsJobQueue
from axon.adapters.composition import event_log, sqs_api, terminator
from axon.adapters.observability.health import serve_health
from axon.adapters.postgres.pool import Pool, create_pool
from axon.adapters.postgres.stores import PostgresTurnStore, PostgresWantedModels
from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey, create_valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.clock import now_ms
from axon.conversations import Conversations
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.settings import WorkerSettings
from worker.attempt.context import AttemptContext
from worker.attempt.outcome import AttemptOutcome
from worker.attempt.runner import answer
from worker.cluster.handover import JobHandover
from worker.cluster.peer_jobs import PeerJobSubscriber
from worker.cluster.registration import LocalWorker, WorkerRegistration
from worker.cluster.router import Router, RoutingPolicy
from worker.cluster.task_protection import TaskProtection
from worker.engines.protocol import Engine
from worker.factories import engine_of, engine_registry, tracing_of, until
from worker.jobs.consumer import Consumer
from worker.metrics import WorkerMetrics
from worker.models.host import ModelHost
from worker.models.metrics import ModelMetrics
from worker.models.reconciler import Reconciler
from worker.models.start import create_reconciler, start_host
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stages import Stages
from worker.shutdown import Shutdown

LOGGER = logging.getLogger(__name__)


async def serve(
    settings: WorkerSettings, *, stop: asyncio.Event, agent_uri: str | None = None
) -> None:
    """Serve until `stop` is set, then drain.

    Parameters
    ----------
    agent_uri : str | None
        The ECS agent that is to protect this task while it works.

    Raises
    ------
    EngineDeadError
        The engine has died; its jobs were released.
    """
    async with AsyncExitStack() as stack:
        host = await start_host(settings, stack, create=engine_of)
        valkey = create_valkey(settings)
        stack.push_async_callback(valkey.close)
        registry = engine_registry()
        pool = create_pool(settings)
        stack.push_async_callback(pool.close)
        protection = TaskProtection(EcsAgent(uri=agent_uri)) if agent_uri else None
        parts = _parts(
            settings,
            host=host,
            valkey=valkey,
            pool=pool,
            registry=registry,
            changed=protection.jobs_changed if protection else lambda _: None,
            stack=stack,
        )
        if port := settings.health_port:
            check = partial(_health, host, parts)
            runner = await serve_health(check, port=port, registry=registry)
            stack.push_async_callback(runner.cleanup)
        LOGGER.info("serving %s with %d slots", ", ".join(_served(host)), settings.slots)
        await _work(parts, settings, stop=stop, protection=protection)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    consumer: Consumer
    registration: WorkerRegistration
    peer_jobs: PeerJobSubscriber
    reconciler: Reconciler


async def _work(
    parts: _Parts,
    settings: WorkerSettings,
    *,
    stop: asyncio.Event,
    protection: TaskProtection | None,
) -> None:
    """Run the parts; what others hand over is taken, or given back, until the end."""
    listening = asyncio.create_task(parts.peer_jobs.run())
    protecting = [protection.run()] if protection else []
    try:
        try:
            await until(
                stop,
                parts.consumer.consume(),
                parts.registration.run(),
                parts.reconciler.run(),
                _ended(listening),
                *protecting,
            )
        finally:
            await parts.registration.leave()
        await asyncio.gather(
            parts.consumer.drain(settings.stop_timeout_s), parts.peer_jobs.catch_up()
        )
        await parts.consumer.settled()
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


def _parts(
    settings: WorkerSettings,
    *,
    host: ModelHost,
    valkey: Valkey,
    pool: Pool,
    registry: CollectorRegistry,
    changed: Callable[[int], None],
    stack: AsyncExitStack,
) -> _Parts:
    metrics = WorkerMetrics(registry=registry)
    shutdown = Shutdown()
    models_changed = asyncio.Event()
    workers = ValkeyWorkerDirectory(valkey=valkey)
    registration = WorkerRegistration(
        worker=LocalWorker(
            worker_id=settings.worker_id,
            slots=settings.slots,
            models=host.models,
            load=lambda: consumer.running,
            connected=lambda: peer_jobs.connected,
        ),
        models=ValkeyModelDirectory(valkey=valkey),
        workers=workers,
        retention_s=settings.model_retention_s,
    )
    host.watch(registration.announce_soon)
    router = Router(
        models=host,
        handover=JobHandover(
            worker_id=settings.worker_id,
            directory=workers,
            peers=registration,
            metrics=metrics,
            shutdown=shutdown,
        ),
        policy=RoutingPolicy(
            prefix_affinity=settings.prefix_affinity,
            max_waiting=max(settings.slots // 2, 1),
            max_receives=settings.max_receives,
        ),
        left_s=lambda job: (job.deadline_ms(settings.response_deadline_s) - now_ms()) / 1000,
        shutdown=shutdown,
    )

    def running_changed(running: int) -> None:
        registration.load_changed()
        changed(running)

    consumer = _consumer(
        settings,
        engine=host,
        valkey=valkey,
        pool=pool,
        router=router,
        metrics=metrics,
        shutdown=shutdown,
        changed=running_changed,
        stack=stack,
    )
    peer_jobs = PeerJobSubscriber(
        valkey=valkey,
        worker_id=settings.worker_id,
        accept=consumer.accept,
        models_changed=models_changed.set,
        subscribed=registration.announce_soon,
        max_age_s=settings.visibility_timeout_s / 2,
    )
    reconciling = create_reconciler(
        settings,
        host=host,
        create=engine_of,
        desired=PostgresWantedModels(pool=pool),
        changed=models_changed,
        metrics=ModelMetrics(registry=registry, models=host.models),
    )
    return _Parts(
        consumer=consumer, registration=registration, peer_jobs=peer_jobs, reconciler=reconciling
    )


def _consumer(
    settings: WorkerSettings,
    *,
    engine: Engine,
    valkey: Valkey,
    pool: Pool,
    router: Router,
    metrics: WorkerMetrics,
    shutdown: Shutdown,
    changed: Callable[[int], None],
    stack: AsyncExitStack,
) -> Consumer:
    tracing = tracing_of(settings)
    stack.push_async_callback(tracing.close)
    jobs = sqs_api(settings.jobs_queue_url, region=settings.aws_region)
    history = sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(jobs.close)
    stack.push_async_callback(history.close)
    log = event_log(settings, valkey=valkey)
    slots = engine.info().slots
    stages = Stages.of(settings, slots=slots, metrics=metrics)
    stack.push_async_callback(stages.close)
    turns = ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s)
    services = AttemptContext(
        event_log=log,
        conversations=Conversations(cache=turns, database=PostgresTurnStore(pool=pool)),
        finisher=ResponseFinisher(
            history=SqsHistorySender(api=history, trace_header=tracing.header), turns=turns
        ),
        terminator=terminator(settings, valkey=valkey, log=log, history=history),
        engine=engine,
        stages=stages,
        flush_policy=FlushPolicy.of(settings),
        metrics=metrics,
        tracing=tracing,
        shutdown=shutdown,
        deadline_s=settings.response_deadline_s,
        max_receives=settings.max_receives,
    )
    consumer = Consumer(
        queue=SqsJobQueue(api=jobs),
        run=partial(_run, router=router, services=services),
        slots=slots,
        prefetch=settings.prefetch,
        visibility_timeout_s=settings.visibility_timeout_s,
        metrics=metrics,
        tracing=tracing,
        shutdown=shutdown,
        changed=changed,
    )
    metrics.watch(slots=slots, used=lambda: stages.infer.running)
    return consumer


async def _run(
    job: Job, delivery: ReceivedJob, *, router: Router, services: AttemptContext
) -> AttemptOutcome:
    return await router.route(job, delivery) or await answer(job, delivery, services=services)


async def _health(engine: Engine, parts: _Parts) -> dict[str, object] | None:
    if not (parts.registration.announced.is_set() and await engine.health()):
        return None
    return {"models": _served(engine), "running": parts.consumer.running}


def _served(engine: Engine) -> list[str]:
    return [model.id for model in engine.info().models]
