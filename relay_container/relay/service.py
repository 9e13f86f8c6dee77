"""Puts a relay together, runs it, and takes it apart."""

import asyncio
from contextlib import AsyncExitStack

from axon.adapters import composition
from axon.adapters.connections import HttpConnections
from axon.adapters.credentials import process_credentials
from axon.adapters.health import serve_health
from axon.adapters.metrics import new_registry
from axon.adapters.valkey import create_valkey
from axon.adapters.valkey_directories import ValkeyRelayDirectory
from axon.settings import RelaySettings
from relay.adoption import Adoption
from relay.feeds import Feeds
from relay.http import serve_http
from relay.lease import Lease
from relay.metrics import CountedConnections, RelayMetrics
from relay.relay import Relay
from relay.rescan import Rescan
from relay.settlement import Settlement
from relay.subscriber import Subscriber


async def serve(settings: RelaySettings, *, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        registry = new_registry()
        relay = await _assemble(settings, RelayMetrics(registry=registry), stack)
        if port := settings.health_port:
            runner = await serve_health(relay.state, port=port, registry=registry)
            stack.push_async_callback(runner.cleanup)
        if port := settings.http_port:
            runner = await serve_http(relay.state, port=port)
            stack.push_async_callback(runner.cleanup)
        await relay.run(stop)


async def _assemble(settings: RelaySettings, metrics: RelayMetrics, stack: AsyncExitStack) -> Relay:
    relay_id = settings.relay_id
    valkey = create_valkey(settings)
    stack.push_async_callback(valkey.close)
    history = composition.sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(history.close)
    connections = await stack.enter_async_context(
        HttpConnections(
            endpoint=settings.connections_endpoint,
            region=settings.aws_region,
            credentials=process_credentials().current,
        )
    )
    log = composition.event_log(settings, valkey=valkey)
    ender = composition.ender(settings, valkey=valkey, log=log, history=history)
    directory = ValkeyRelayDirectory(valkey=valkey)
    settlement = Settlement(
        relay_id=relay_id, connections=connections, directory=directory, log=log
    )
    feeds = Feeds(
        connections=CountedConnections(connections, metrics=metrics),
        log=log,
        settlement=settlement,
        lagged=metrics.lag.observe,
    )
    metrics.watch(feeds)
    lease = Lease(relay_id=relay_id, directory=directory, length_s=settings.relay_lease_s)
    relay_left = asyncio.Event()
    return Relay(
        relay_id=relay_id,
        subscriber=Subscriber(
            valkey=valkey,
            relay_id=relay_id,
            receive=feeds.receive,
            resubscribed=feeds.doubt_all,
            relay_left=relay_left.set,
        ),
        feeds=feeds,
        lease=lease,
        adoption=Adoption(
            relay_id=relay_id,
            directory=directory,
            lease=lease,
            feeds=feeds,
            adopted=metrics.adopted,
        ),
        relay_left=relay_left,
        rescan=Rescan(feeds=feeds, log=log, directory=directory, relay_id=relay_id),
        ender=ender,
        directory=directory,
        stop_timeout_s=settings.stop_timeout_s,
    )
