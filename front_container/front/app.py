"""Composition root of the front: builds its parts, runs it and closes what it has opened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from axon.adapters import composition
from axon.adapters.api_keys import api_keys
from axon.adapters.aws.aws_json import endpoint_of
from axon.adapters.aws.credentials import FixedCredentials, process_credentials
from axon.adapters.aws.presigned import S3UploadSigner
from axon.adapters.aws.sigv4 import Credentials
from axon.adapters.observability.health import Health, serve_health
from axon.adapters.observability.metrics import new_registry
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.directories import ValkeyConnectionDirectory, ValkeyModelDirectory
from axon.adapters.valkey.follower import ValkeyFollower
from axon.adapters.valkey.uploads import ValkeyUploadBudget
from axon.settings import FrontSettings
from axon.tenants.revocation import KeyCheck
from axon.uploads import Uploads
from front.authentication import Authenticator
from front.bodies import Bodies
from front.context import FrontContext
from front.front import Front
from front.metrics import FrontMetrics
from front.models import ServedModels
from front.reading import ResponseReader
from front.requests import OpenRequests
from front.revoker import Revoker
from front.server import new_application
from front.socket.sockets import OpenSockets


async def serve(
    settings: FrontSettings, *, stop: asyncio.Event, started: Callable[[], object] = lambda: None
) -> None:
    """Serve until `stop` is set, then drain.

    `started` is called once all parts are built, before the first request.
    """
    async with assembled(settings) as (front, application):
        started()
        await front.run(application, host=settings.http_host, port=settings.http_port, stop=stop)


@asynccontextmanager
async def assembled(
    settings: FrontSettings, *, keeps_connections: bool = True
) -> AsyncIterator[tuple[Front, web.Application]]:
    """Build a front and its application; close what they have opened when the context ends.

    `keeps_connections`: keep connections to PostgreSQL between transactions.
    """
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(
            composition.response_service(
                settings,
                database_connections=settings.database_connections,
                keeps_connections=keeps_connections,
                keeps_ends=True,
            )
        )
        front = _assemble(settings, backend)
        registry = new_registry()
        metrics = FrontMetrics(registry=registry)
        metrics.watch(front.context, ready=lambda: front.ready)
        if port := settings.health_port:
            runner = await serve_health(
                Health(front.state), port=port, registry=registry, token=settings.health_token
            )
            stack.push_async_callback(runner.cleanup)
        application = new_application(front.context, ready=lambda: front.ready)
        application.on_response_prepare.append(metrics.count)
        yield front, application


def _assemble(settings: FrontSettings, backend: composition.ResponseBackend) -> Front:
    valkey, pool = backend.valkey, backend.pool
    follower = composition.follower(valkey=valkey, log=backend.log)
    context = _context(settings, backend, follower)
    revoker = Revoker(
        requests=context.requests,
        keys=KeyCheck(
            connections=ValkeyOpenConnections(valkey=valkey), store=PostgresApiKeyStore(pool=pool)
        ),
        reader=context.reader,
        log=backend.log,
        terminator=backend.terminator,
    )
    return Front(
        context=context,
        follower=follower,
        revoker=revoker,
        kept_ends=backend.kept_ends,
        stop_timeout_s=settings.stop_timeout_s,
        keep_alive_s=settings.keep_alive_s,
    )


def _context(
    settings: FrontSettings, backend: composition.ResponseBackend, follower: ValkeyFollower
) -> FrontContext:
    valkey, pool = backend.valkey, backend.pool
    return FrontContext(
        service=backend.service,
        retrieval=backend.retrieval,
        named=backend.named,
        items=backend.items,
        reader=ResponseReader(
            follower=follower,
            attendance=composition.attendance(settings, valkey=valkey),
            terminator=backend.terminator,
        ),
        authenticator=Authenticator(
            keys=api_keys(valkey=valkey, pool=pool, stale_s=settings.key_cache_s),
            trusted_proxies=settings.trusted_proxies,
        ),
        models=ServedModels(
            directory=ValkeyModelDirectory(valkey=valkey),
            deployment=settings.models,
            aliases=settings.model_aliases,
        ),
        requests=OpenRequests(),
        bodies=Bodies(
            max_bytes=settings.longest_body,
            memory_bytes=settings.body_memory_bytes,
            uploads=_uploads(settings, backend),
        ),
        sockets=OpenSockets(most=settings.max_sockets),
        directory=ValkeyConnectionDirectory(valkey=valkey),
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
        playground=settings.playground,
    )


def _uploads(settings: FrontSettings, backend: composition.ResponseBackend) -> Uploads | None:
    """Return the uploads in the payload store, if there is one."""
    if settings.payload_bucket is None or backend.payloads is None:
        return None
    return Uploads(
        store=backend.payloads,
        signer=S3UploadSigner(
            bucket=settings.payload_bucket,
            endpoint=endpoint_of("s3", region=settings.aws_region),
            region=settings.aws_region,
            credentials=_upload_credentials(settings),
        ),
        budget=ValkeyUploadBudget(valkey=backend.valkey),
        max_bytes=settings.longest_body,
    )


def _upload_credentials(settings: FrontSettings) -> Callable[[], Credentials]:
    if settings.upload_key_id is None or settings.upload_secret is None:
        return process_credentials().current
    secret = settings.upload_secret.get_secret_value()
    return FixedCredentials(settings.upload_key_id, secret, None).current
