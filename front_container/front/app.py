"""Composition root of the front: builds its parts, serves HTTP and closes what it has opened."""

import asyncio
import logging
from contextlib import AsyncExitStack

from aiohttp import web

from axon.adapters import composition
from axon.adapters.api_keys import api_keys
from axon.adapters.observability.health import Health, serve_health
from axon.adapters.observability.metrics import new_registry
from axon.adapters.valkey.directories import ValkeyModelDirectory
from axon.adapters.valkey.follower import ValkeyFollower
from axon.periodic import every
from axon.settings import FrontSettings
from axon.tasks import end
from front.authentication import Authenticator
from front.context import FrontContext
from front.models import ServedModels
from front.reading import LOOK_S, ResponseReader
from front.requests import OpenRequests
from front.server import new_application, start_server, stop_listening

logger = logging.getLogger(__name__)


async def serve(settings: FrontSettings, *, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(
            composition.response_service(
                settings, database_connections=settings.database_connections
            )
        )
        follower = composition.follower(valkey=backend.valkey, log=backend.log)
        context = _context(settings, backend, follower)
        application = new_application(context, ready=lambda: follower.connected)
        health = Health(lambda: _state(context, follower))
        if port := settings.health_port:
            runner = await serve_health(
                health, port=port, registry=new_registry(), token=settings.health_token
            )
            stack.push_async_callback(runner.cleanup)
        await _run(settings, application, context, follower, stop)


async def _run(
    settings: FrontSettings,
    application: web.Application,
    context: FrontContext,
    follower: ValkeyFollower,
    stop: asyncio.Event,
) -> None:
    always = asyncio.Event()  # is never set: what lasts to the end is cancelled there
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follower.run()),
            group.create_task(every(LOOK_S, context.reader.attend, until=always)),
        ]
        runner = await start_server(application, host=settings.http_host, port=settings.http_port)
        logger.info("the front serves on %s", runner.addresses)
        await stop.wait()
        context.requests.draining = True
        logger.info("the front ends, with %d open requests", context.requests.count)
        await stop_listening(runner)
        # Running streams go on for this time. What is left ends without a terminal event, so its
        # clients resume with another front.
        await context.requests.drain(settings.stop_timeout_s)
        await runner.cleanup()
        await context.reader.drain()
        await end(*tasks)


def _context(
    settings: FrontSettings, backend: composition.ResponseBackend, follower: ValkeyFollower
) -> FrontContext:
    valkey, pool = backend.valkey, backend.pool
    return FrontContext(
        service=backend.service,
        retrieval=backend.retrieval,
        reader=ResponseReader(
            follower=follower,
            attendance=composition.attendance(settings, valkey=valkey),
            terminator=backend.terminator,
        ),
        authenticator=Authenticator(
            keys=api_keys(valkey=valkey, pool=pool, stale_s=settings.key_cache_s)
        ),
        models=ServedModels(
            directory=ValkeyModelDirectory(valkey=valkey),
            deployment=settings.models,
            aliases=settings.model_aliases,
        ),
        requests=OpenRequests(),
        max_body_bytes=settings.max_body_bytes,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
    )


async def _state(context: FrontContext, follower: ValkeyFollower) -> dict[str, object] | None:
    """Return the state for /health, or None while requests could not be served."""
    if context.requests.draining or not follower.connected:
        return None
    return {"requests": context.requests.count, "attended": len(context.reader.attended)}
