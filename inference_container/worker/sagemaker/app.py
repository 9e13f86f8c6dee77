"""Composition root of the SageMaker endpoint: builds, runs and shuts it down."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from axon.adapters.observability.health import Health, serve_health
from axon.conversations import Conversations
from axon.deadlines import Deadlines
from axon.responses.finisher import ResponseFinisher
from axon.settings import EndpointSettings
from axon.tasks import run_until
from worker.attempt.context import AttemptContext
from worker.attempt.fence_watch import FenceWatch
from worker.engines.protocol import Engine, EngineDeadError
from worker.factories import engine_registry, start_engine, tracing_of
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stages import Stages
from worker.sagemaker.answer_log import AnswerLog, NoFences, NoStore
from worker.sagemaker.http import Endpoint
from worker.sagemaker.invocation import Invocation
from worker.sagemaker.requests import Accepted
from worker.shutdown import Shutdown

logger = logging.getLogger(__name__)

ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - SageMaker asks from outside the container

_HAND_OVER_TIMEOUT_S = 2.0
"""Limit for the last answers to end at the hand-over, in seconds."""


async def serve(
    settings: EndpointSettings, *, stop: asyncio.Event, host: str = ALL_INTERFACES
) -> None:
    """Serve until `stop` is set, then drain.

    Raises
    ------
    EngineDeadError
        The engine has died.
    """
    async with AsyncExitStack() as stack:
        engine = await start_engine(settings, stack)
        registry = engine_registry()
        shutdown = Shutdown()
        died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        endpoint = create_endpoint(
            settings,
            engine=engine,
            registry=registry,
            shutdown=shutdown,
            died=partial(_set_exception, died),
            stack=stack,
        )
        if port := settings.health_port:
            health = await serve_health(
                Health(partial(_health, engine, endpoint)),
                port=port,
                registry=registry,
                token=settings.health_token,
            )
            stack.push_async_callback(health.cleanup)
        runner = await endpoint.listen(host=host, port=settings.http_port)
        stack.push_async_callback(runner.cleanup)
        models = ", ".join(model.id for model in engine.info().models)
        logger.info(
            "serving %s with %d slots on %d", models, engine.info().slots, settings.http_port
        )
        try:
            await run_until(stop, _wait(died))
        except EngineDeadError:
            await _drain(endpoint, shutdown, 0)
            raise
        await _drain(endpoint, shutdown, settings.stop_timeout_s)


def create_endpoint(
    settings: EndpointSettings,
    *,
    engine: Engine,
    registry: CollectorRegistry,
    shutdown: Shutdown,
    died: Callable[[EngineDeadError], None],
    stack: AsyncExitStack,
) -> Endpoint:
    """Return an endpoint in front of a started engine; the stack closes what it needs.

    Parameters
    ----------
    engine : Engine
        Started; the caller closes it.
    registry : CollectorRegistry
        Takes the metrics of the endpoint.
    shutdown : Shutdown
        Says when the endpoint refuses new invocations.
    died : Callable[[EngineDeadError], None]
        Called with the error of an engine that has died during an answer.
    stack : AsyncExitStack
        Closes stages and tracing when it is closed.
    """
    metrics = WorkerMetrics(registry=registry)
    tracing = tracing_of(settings)
    stack.push_async_callback(tracing.close)
    slots = engine.info().slots
    stages = Stages.of(settings, slots=slots, metrics=metrics)
    stack.push_async_callback(stages.close)
    metrics.watch(slots=slots, used=lambda: stages.infer.running)
    policy, nothing = FlushPolicy.of(settings), NoStore()
    conversations = Conversations(cache=nothing, database=nothing)
    finisher = ResponseFinisher(history=nothing, turns=nothing)
    fence_watch = FenceWatch(fences=NoFences(), interval_s=settings.stream_timeout_s)

    def context(log: AnswerLog) -> AttemptContext:
        return AttemptContext(
            event_log=log,
            fence_watch=fence_watch,
            conversations=conversations,
            finisher=finisher,
            terminator=log,
            engine=engine,
            stages=stages,
            flush_policy=policy,
            metrics=metrics,
            tracing=tracing,
            shutdown=shutdown,
            deadlines=Deadlines(
                queue_s=settings.stream_timeout_s, no_progress_s=settings.stream_timeout_s
            ),
            max_receives=1,  # a full stage refuses at once: SageMaker has no queue
        )

    def invoke(accepted: Accepted) -> Invocation:
        timeout_s = (
            settings.stream_timeout_s if accepted.streamed else settings.invocation_timeout_s
        )
        return Invocation(accepted.job, context=context, timeout_s=timeout_s, died=died)

    return Endpoint(engine=engine, invoke=invoke, shutdown=shutdown)


async def _health(engine: Engine, endpoint: Endpoint) -> dict[str, object] | None:
    if not await endpoint.healthy():
        return None
    return {"models": [model.id for model in engine.info().models], "running": endpoint.running}


async def _wait(died: "asyncio.Future[None]") -> None:
    await died


def _set_exception(died: "asyncio.Future[None]", error: EngineDeadError) -> None:
    if not died.done():
        died.set_exception(error)


async def _drain(endpoint: Endpoint, shutdown: Shutdown, timeout_s: float) -> None:
    """Wait until running answers have ended; end the others after `timeout_s` seconds.

    Their clients get an error that asks them to retry.
    """
    shutdown.drain()
    await endpoint.wait(timeout_s)
    shutdown.hand_over()
    await endpoint.wait(_HAND_OVER_TIMEOUT_S)
