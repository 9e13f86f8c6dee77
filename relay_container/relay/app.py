"""Composition root of the relay: builds its parts, runs it and closes what it has opened."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from axon.adapters import composition
from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.management_api import HttpConnectionsApi
from axon.adapters.observability.health import Health, serve_health
from axon.adapters.observability.metrics import new_registry
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyRelayDirectory
from axon.adapters.valkey.memory import MemoryGuard
from axon.event_log.kept_ends import KeptEnds
from axon.responses.sweeper import ResponseSweeper
from axon.settings import RelaySettings
from relay.completion import DeliveryCompletion
from relay.departure import Departure
from relay.dispatcher import Dispatcher
from relay.failover import Failover
from relay.lease import Lease
from relay.metrics import CountedConnections, RelayMetrics
from relay.reconciler import DeliveryReconciler
from relay.relay import Relay
from relay.revoker import Revoker
from relay.subscriber import RelaySubscriber


async def serve(settings: RelaySettings, *, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        registry = new_registry()
        metrics = RelayMetrics(registry=registry)
        relay = await _assemble(settings, metrics, stack)
        metrics.watch_readiness(lambda: relay.ready)
        health = Health(relay.state)
        if port := settings.health_port:
            runner = await serve_health(
                health, port=port, registry=registry, token=settings.health_token
            )
            stack.push_async_callback(runner.cleanup)
        await relay.run(stop)


async def _assemble(settings: RelaySettings, metrics: RelayMetrics, stack: AsyncExitStack) -> Relay:
    relay_id = settings.relay_id
    valkey = create_valkey(settings)
    stack.push_async_callback(valkey.close)
    history = composition.sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(history.close)
    connections = await stack.enter_async_context(
        HttpConnectionsApi(
            endpoint=settings.connections_endpoint,
            region=settings.aws_region,
            credentials=process_credentials().current,
        )
    )
    log = composition.event_log(settings, valkey=valkey)
    kept_ends = KeptEnds(confirm=partial(composition.confirmed_generation, valkey))
    terminator = composition.terminator(
        settings,
        valkey=valkey,
        log=log,
        history=history,
        history_lost=metrics.history_lost,
        kept_ends=kept_ends,
    )
    directory = ValkeyRelayDirectory(valkey=valkey)
    completion = DeliveryCompletion(
        relay_id=relay_id, connections=connections, directory=directory, log=log
    )
    dispatcher = Dispatcher(
        connections=CountedConnections(connections, metrics=metrics),
        log=log,
        completion=completion,
        observe_lag=metrics.lag.observe,
    )
    metrics.watch(dispatcher)
    lease = Lease(relay_id=relay_id, directory=directory, length_s=settings.relay_lease_s)
    relay_left = asyncio.Event()
    return Relay(
        relay_id=relay_id,
        subscriber=RelaySubscriber(
            valkey=valkey,
            relay_id=relay_id,
            receive=dispatcher.receive,
            resubscribed=dispatcher.request_read_all,
            relay_left=relay_left.set,
            refused=metrics.refused,
        ),
        dispatcher=dispatcher,
        lease=lease,
        failover=Failover(
            relay_id=relay_id,
            directory=directory,
            lease=lease,
            dispatcher=dispatcher,
            taken_over=metrics.taken_over,
        ),
        relay_left=relay_left,
        reconciler=DeliveryReconciler(
            dispatcher=dispatcher, log=log, directory=directory, relay_id=relay_id
        ),
        sweeper=ResponseSweeper(
            index=composition.due_index(settings, valkey=valkey), terminator=terminator
        ),
        kept_ends=kept_ends,
        revoker=Revoker(
            relay_id=relay_id,
            connections=connections,
            open_connections=ValkeyOpenConnections(valkey=valkey),
            log=log,
            terminator=terminator,
        ),
        departure=Departure(
            relay_id=relay_id,
            dispatcher=dispatcher,
            lease=lease,
            directory=directory,
            log=log,
            stop_timeout_s=settings.stop_timeout_s,
        ),
        memory=MemoryGuard(
            valkey=valkey, observe=metrics.valkey_memory.set, evicted=metrics.evicted_turns.inc
        ),
    )
