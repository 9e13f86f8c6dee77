"""Puts a worker together, runs it, and takes it apart."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from axon.adapters.composition import ender, event_log, sqs_api
from axon.adapters.ecs_agent import EcsAgent
from axon.adapters.health import serve_health
from axon.adapters.postgres import create_pool
from axon.adapters.postgres_stores import PostgresTurnStore
from axon.adapters.sqs import SqsHistorySender, SqsJobQueue
from axon.adapters.valkey import Valkey, create_valkey
from axon.adapters.valkey_caches import ValkeyTurnCache
from axon.adapters.valkey_directories import ValkeyModelDirectory
from axon.conversations import Conversations
from axon.settings import WorkerSettings
from worker.announcer import announce
from worker.answering import answer
from worker.consumer import Consumer
from worker.engines.protocol import Engine
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stages import Stages
from worker.process import engine_registry, start_engine, tracing_of, until
from worker.protection import Protection
from worker.services import Services
from worker.shutdown import Shutdown

LOGGER = logging.getLogger(__name__)


async def serve(
    settings: WorkerSettings, *, stop: asyncio.Event, agent_uri: str | None = None
) -> None:
    """Serve until `stop` is set, then drain.

    Parameters
    ----------
    agent_uri : the ECS agent that is to protect this task while it works.

    Raises
    ------
    EngineDeadError : the engine has died; its jobs were released.
    """
    async with AsyncExitStack() as stack:
        engine = await start_engine(settings, stack)
        valkey = create_valkey(settings)
        stack.push_async_callback(valkey.close)
        registry = engine_registry(settings)
        protection = Protection(EcsAgent(uri=agent_uri)) if agent_uri else None
        consumer = _consumer(
            settings,
            engine=engine,
            valkey=valkey,
            registry=registry,
            changed=protection.changed if protection else lambda _: None,
            stack=stack,
        )
        announced = asyncio.Event()
        if port := settings.health_port:
            check = partial(_health, engine, consumer, announced)
            runner = await serve_health(check, port=port, registry=registry)
            stack.push_async_callback(runner.cleanup)
        models = tuple(model.id for model in engine.info().models)
        directory = ValkeyModelDirectory(valkey=valkey)
        announcing = announce(
            directory, models, retention_s=settings.model_retention_s, announced=announced
        )
        LOGGER.info("serving %s with %d slots", ", ".join(models), engine.info().slots)
        protecting = [protection.run()] if protection else []
        await until(stop, consumer.consume(), announcing, *protecting)
        await consumer.drain(settings.stop_timeout_s)


def _consumer(
    settings: WorkerSettings,
    *,
    engine: Engine,
    valkey: Valkey,
    registry: CollectorRegistry,
    changed: Callable[[int], None],
    stack: AsyncExitStack,
) -> Consumer:
    metrics = WorkerMetrics(registry=registry)
    tracing = tracing_of(settings)
    stack.push_async_callback(tracing.close)
    jobs = sqs_api(settings.jobs_queue_url, region=settings.aws_region)
    history = sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(jobs.close)
    stack.push_async_callback(history.close)
    pool = create_pool(settings)
    stack.push_async_callback(pool.close)
    log = event_log(settings, valkey=valkey)
    shutdown = Shutdown()
    slots = engine.info().slots
    stages = Stages.of(settings, slots=slots, metrics=metrics)
    stack.push_async_callback(stages.close)
    services = Services(
        event_log=log,
        conversations=Conversations(
            cache=ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s),
            database=PostgresTurnStore(pool=pool),
        ),
        history=SqsHistorySender(api=history, trace_header=tracing.header),
        ender=ender(settings, valkey=valkey, log=log, history=history),
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
        run=partial(answer, services=services),
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


async def _health(
    engine: Engine, consumer: Consumer, announced: asyncio.Event
) -> dict[str, object] | None:
    if not (announced.is_set() and await engine.health()):
        return None
    return {"models": [model.id for model in engine.info().models], "running": consumer.running}
