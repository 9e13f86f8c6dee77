"""Puts a relay together, runs it, and takes it apart."""

import asyncio
from contextlib import AsyncExitStack

from axon.adapters import composition
from axon.adapters.connections import HttpConnections
from axon.adapters.health import serve_health
from axon.adapters.valkey import Valkey
from axon.adapters.valkey_directories import ValkeyRelayDirectory
from axon.settings import RelaySettings
from relay.feeds import Feeds
from relay.lease import Lease
from relay.relay import Relay
from relay.rescan import Rescan
from relay.settlement import Settlement
from relay.subscriber import Subscriber
from relay.takeover import Takeover


async def serve(settings: RelaySettings, *, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        relay = await _assemble(settings, stack)
        if settings.health_port:
            runner = await serve_health(relay.state, port=settings.health_port)
            stack.push_async_callback(runner.cleanup)
        await relay.run(stop)


async def _assemble(settings: RelaySettings, stack: AsyncExitStack) -> Relay:
    relay_id = settings.relay_id
    valkey = Valkey(settings.valkey_url)
    stack.push_async_callback(valkey.close)
    history = composition.sqs_api(settings.history_queue_url, region=settings.aws_region)
    stack.push_async_callback(history.close)
    connections = await stack.enter_async_context(
        HttpConnections(
            endpoint=settings.connections_endpoint,
            region=settings.aws_region,
            credentials=composition.credentials().current,
        )
    )
    log = composition.event_log(settings, valkey=valkey)
    ender = composition.ender(log=log, history=history)
    directory = ValkeyRelayDirectory(valkey=valkey)
    settlement = Settlement(
        relay_id=relay_id, connections=connections, directory=directory, ender=ender
    )
    feeds = Feeds(connections=connections, log=log, settlement=settlement)
    return Relay(
        relay_id=relay_id,
        subscriber=Subscriber(
            valkey=valkey, relay_id=relay_id, receive=feeds.receive, resubscribed=feeds.doubt_all
        ),
        feeds=feeds,
        lease=Lease(relay_id=relay_id, directory=directory, length_s=settings.relay_lease_s),
        takeover=Takeover(log=log, directory=directory, settlement=settlement),
        rescan=Rescan(feeds=feeds, log=log, directory=directory, settlement=settlement),
        ender=ender,
        stop_timeout_s=settings.stop_timeout_s,
    )
