"""Composition root of the worker: builds its parts from the settings and connects them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from axon.adapters.aws.sqs import SqsJobQueue, SqsParking
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.composition import (
    confirmed_generation,
    due_index,
    event_log,
    history_sender,
    payload_store,
    sqs_api,
    terminator,
)
from axon.adapters.observability.refusals import Refusals
from axon.adapters.postgres.pool import Pool, create_pool
from axon.adapters.postgres.stores import PostgresDesiredModels, PostgresTurnStore
from axon.adapters.valkey.attempts import ValkeyAttemptNotes
from axon.adapters.valkey.beats import ValkeyWorkerBeats
from axon.adapters.valkey.caches import ValkeyPendingHistory, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey, create_valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory
from axon.adapters.valkey.fences import ValkeyFences
from axon.adapters.valkey.quarantine import ValkeyQuarantinePermits
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.clock import now_ms
from axon.conversations import Conversations
from axon.event_log.kept_ends import KeptEnds
from axon.inputs import LargeInputs
from axon.responses.finisher import ResponseFinisher
from axon.settings import WorkerSettings
from axon.tracing import Tracing
from worker.attempt.budget import AttemptBudget
from worker.attempt.context import AttemptContext
from worker.attempt.fence_watch import FenceWatch
from worker.attempt.runner import JobRunner
from worker.cluster.handover import JobHandover
from worker.cluster.liveness import WorkerLiveness, incarnation_of
from worker.cluster.peer_jobs import PeerJobSubscriber
from worker.cluster.registration import LocalWorker, WorkerRegistration
from worker.cluster.router import Router, RoutingPolicy
from worker.factories import engine_of, engine_registry, tracing_of
from worker.jobs.consumer import Consumer
from worker.jobs.parking import ParkedJobs
from worker.jobs.unreadable import UnreadableJobs
from worker.metrics import WorkerMetrics
from worker.models.host import ModelHost
from worker.models.metrics import ModelMetrics
from worker.models.reconciler import Reconciler
from worker.models.start import create_reconciler, start_host
from worker.models.watchdog import EngineWatchdog
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stages import Stages
from worker.quarantine import Quarantine
from worker.shutdown import Shutdown


@dataclass(frozen=True, kw_only=True, slots=True)
class Foundation:
    """The settings, engine and clients of a worker; closed by the stack that opened them."""

    settings: WorkerSettings
    host: ModelHost
    valkey: Valkey
    pool: Pool
    jobs: SqsApi
    history: SqsApi
    inputs: LargeInputs
    parking: ParkedJobs | None
    stages: Stages
    tracing: Tracing
    registry: CollectorRegistry
    metrics: WorkerMetrics
    shutdown: Shutdown


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts of a worker that run side by side."""

    consumer: Consumer
    registration: WorkerRegistration
    liveness: WorkerLiveness
    watchdog: EngineWatchdog
    kept_ends: KeptEnds
    peer_jobs: PeerJobSubscriber
    reconciler: Reconciler


async def open_foundation(settings: WorkerSettings, stack: AsyncExitStack) -> Foundation:
    """Start the engine and create the clients; the stack closes them in the opposite order.

    Raises
    ------
    EngineError
        The deployment's own model cannot be served.
    """
    host = await start_host(settings, stack, create=engine_of)
    registry = engine_registry()
    metrics = WorkerMetrics(registry=registry)
    valkey = create_valkey(settings)
    stack.push_async_callback(valkey.close)
    pool = create_pool(settings)
    stack.push_async_callback(pool.close)
    tracing = tracing_of(settings)
    stack.push_async_callback(tracing.close)
    jobs = sqs_api(settings.jobs_queue_url, region=settings.aws_region)
    stack.push_async_callback(jobs.close)
    history = sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(history.close)
    payloads = payload_store(settings)
    if payloads is not None:
        stack.push_async_callback(payloads.close)
    parking = None
    if url := settings.parked_queue_url:
        parked = sqs_api(url, region=settings.aws_region)
        stack.push_async_callback(parked.close)
        parking = ParkedJobs(parking=SqsParking(api=parked))
    slots = host.info().slots
    stages = Stages.of(settings, slots=slots, metrics=metrics)
    # Last in, first out: answers that still run are cancelled while their clients are open.
    stack.push_async_callback(stages.close)
    metrics.watch(slots=slots, used=lambda: stages.infer.running)
    return Foundation(
        settings=settings,
        host=host,
        valkey=valkey,
        pool=pool,
        jobs=jobs,
        history=history,
        inputs=LargeInputs(store=payloads),
        parking=parking,
        stages=stages,
        tracing=tracing,
        registry=registry,
        metrics=metrics,
        shutdown=Shutdown(),
    )


def create_parts(foundation: Foundation, *, load_changed: Callable[[int], None]) -> Parts:
    """Return the parts of a worker, connected but not running.

    Parameters
    ----------
    foundation : Foundation
        Settings, engine and clients that the parts share; the stack that opened them closes them.
    load_changed : Callable[[int], None]
        Called with the number of jobs whenever that has changed.
    """
    settings, valkey = foundation.settings, foundation.valkey
    refused = Refusals(registry=foundation.registry)
    directory = ValkeyWorkerDirectory(valkey=valkey, refused=refused)
    # The registration announces the load of the consumer and the connection of the subscriber,
    # which are created below, because they in turn need the registration.
    registration = WorkerRegistration(
        worker=LocalWorker(
            worker_id=settings.worker_id,
            slots=settings.slots,
            models=foundation.host.models,
            load=lambda: consumer.running,
            connected=lambda: peer_jobs.connected and not quarantine.active,
        ),
        models=ValkeyModelDirectory(valkey=valkey),
        workers=directory,
        retention_s=settings.model_retention_s,
    )
    foundation.host.watch(registration.announce_soon)

    def announce_load(running: int) -> None:
        registration.load_changed()
        liveness.jobs_changed()
        load_changed(running)

    def report_hang(reason: str) -> None:
        watchdog.report(reason)  # created below: it stops the consumer, whose attempts call this

    router = _router(foundation, directory=directory, registration=registration)
    incarnation = incarnation_of(settings.worker_id)
    quarantine = Quarantine(
        permits=ValkeyQuarantinePermits(valkey=valkey),
        shutdown=foundation.shutdown,
        incarnation=incarnation,
    )
    # Peers see the worker leave the directory, so that they hand nothing over to it.
    quarantine.listen(registration.announce_soon)
    kept_ends = KeptEnds(confirm=partial(confirmed_generation, valkey))
    queue = SqsJobQueue(api=foundation.jobs)
    context = _attempt_context(
        foundation, engine_hangs=report_hang, quarantine=quarantine, kept_ends=kept_ends
    )
    consumer = Consumer(
        queue=queue,
        runner=JobRunner(context=context, router=router),
        slots=foundation.host.info().slots,
        prefetch=settings.prefetch,
        visibility_timeout_s=settings.visibility_timeout_s,
        metrics=foundation.metrics,
        tracing=foundation.tracing,
        shutdown=foundation.shutdown,
        load_changed=announce_load,
        quarantine=quarantine,
        parking=foundation.parking,
        unreadable=UnreadableJobs(
            event_log=context.event_log,
            terminator=context.terminator,
            parking=foundation.parking,
        ),
        refused=refused,
    )
    watchdog = EngineWatchdog(engines=foundation.host, stop=consumer.stop)
    liveness = WorkerLiveness(
        incarnation=incarnation,
        beats=ValkeyWorkerBeats(valkey=valkey, keep_s=2 * settings.visibility_timeout_s),
        queue=queue,
        held=lambda: consumer.held,
        metrics=foundation.metrics,
    )
    models_changed = asyncio.Event()
    peer_jobs = PeerJobSubscriber(
        valkey=valkey,
        worker_id=settings.worker_id,
        accept=consumer.accept,
        models_changed=models_changed.set,
        subscribed=registration.announce_soon,
        # Half of the timeout is left to extend it; later, another worker may have the message.
        max_age_s=settings.visibility_timeout_s / 2,
        refused=refused,
    )
    return Parts(
        consumer=consumer,
        registration=registration,
        liveness=liveness,
        watchdog=watchdog,
        kept_ends=kept_ends,
        peer_jobs=peer_jobs,
        reconciler=_reconciler(foundation, changed=models_changed),
    )


def _router(
    foundation: Foundation, *, directory: ValkeyWorkerDirectory, registration: WorkerRegistration
) -> Router:
    settings = foundation.settings
    return Router(
        models=foundation.host,
        handover=JobHandover(
            worker_id=settings.worker_id,
            directory=directory,
            peers=registration,
            metrics=foundation.metrics,
            shutdown=foundation.shutdown,
        ),
        policy=RoutingPolicy(
            prefix_affinity=settings.prefix_affinity,
            max_waiting=max(settings.slots // 2, 1),
            max_receives=settings.max_receives,
        ),
        left_s=lambda job: (job.deadline_ms(settings.deadlines.longest_wait_s) - now_ms()) / 1000,
        shutdown=foundation.shutdown,
    )


def _attempt_context(
    foundation: Foundation,
    *,
    engine_hangs: Callable[[str], None],
    quarantine: Quarantine,
    kept_ends: KeptEnds,
) -> AttemptContext:
    settings, valkey = foundation.settings, foundation.valkey
    log = event_log(settings, valkey=valkey, worker_id=settings.worker_id)
    turns = ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s)
    history = history_sender(
        foundation.history, valkey=valkey, trace_header=foundation.tracing.header
    )
    return AttemptContext(
        event_log=log,
        fence_watch=FenceWatch(
            fences=ValkeyFences(valkey=valkey), interval_s=settings.flush_last_s
        ),
        conversations=Conversations(
            cache=turns,
            database=PostgresTurnStore(pool=foundation.pool),
            pending=ValkeyPendingHistory(valkey=valkey),
            inputs=foundation.inputs,
        ),
        inputs=foundation.inputs,
        finisher=ResponseFinisher(
            history=history, turns=turns, history_lost=foundation.metrics.history_lost
        ),
        terminator=terminator(
            settings,
            valkey=valkey,
            log=log,
            history=foundation.history,
            history_lost=foundation.metrics.history_lost,
        ),
        engine=foundation.host,
        stages=foundation.stages,
        flush_policy=FlushPolicy.of(settings),
        metrics=foundation.metrics,
        tracing=foundation.tracing,
        shutdown=foundation.shutdown,
        deadlines=settings.deadlines,
        due=due_index(settings, valkey=valkey),
        serving_since_ms=now_ms(),
        max_receives=settings.max_receives,
        kept_ends=kept_ends,
        generation=lambda: valkey.generation,
        engine_hangs=engine_hangs,
        overload_receives=settings.overload_receives,
        budget=AttemptBudget(
            notes=ValkeyAttemptNotes(valkey=valkey),
            quarantine=quarantine,
            max_attempts=settings.max_attempts,
            slots=foundation.host.info().slots,
        ),
    )


def _reconciler(foundation: Foundation, *, changed: asyncio.Event) -> Reconciler:
    return create_reconciler(
        foundation.settings,
        host=foundation.host,
        create=engine_of,
        desired=PostgresDesiredModels(pool=foundation.pool),
        changed=changed,
        metrics=ModelMetrics(registry=foundation.registry, models=foundation.host.models),
    )
