"""/health, /live and /metrics of a long-running service, for what watches and what uses it."""

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from axon.adapters.observability.metrics import CONTENT_TYPE, exposition

Check = Callable[[], Awaitable[dict[str, object] | None]]
"""Tells what /health says, or None while the service could not serve what came now."""

Alive = Callable[[], Awaitable[bool]]
"""Tells whether the process can go on by itself once what it needs is back."""

LOOPBACK = "127.0.0.1"


class Health:
    """The answers to two different questions about a service.

    Readiness (/health): can it serve what comes now? It is for a choice between instances, and for
    people. Liveness (/live): is the process to be replaced? ECS replaces a task that fails its
    container's check or the load balancer's, so liveness must not depend on anything outside the
    process. Valkey is away for all relays at once: if that failed their liveness, ECS would
    replace every one of them, and each connection's deliveries with it, for an outage that a new
    task does not survive any better.

    Until the service has been ready once, it is not alive either: a deployment whose tasks
    cannot start must fail and be rolled back.

    Parameters
    ----------
    ready : Check
        Asked by /health, and by /live until it has succeeded once.
    alive : Alive | None
        Asked by /live from then on; None: an answer is all that is needed, because the event loop
        gave it.
    """

    def __init__(self, ready: Check, *, alive: Alive | None = None) -> None:
        self._ready = ready
        self._alive = alive
        self._has_begun = False

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add both routes."""
        router.add_get("/health", self._health)
        router.add_get("/live", self._live)

    async def _health(self, _request: web.Request) -> web.Response:
        state = await self._ready()
        if state is None:
            return web.json_response({"status": "unavailable"}, status=503)
        self._has_begun = True
        return web.json_response({"status": "ok", **state})

    async def _live(self, _request: web.Request) -> web.Response:
        if not self._has_begun and await self._ready() is None:
            return web.json_response({"status": "starting"}, status=503)
        self._has_begun = True
        if self._alive is not None and not await self._alive():
            return web.json_response({"status": "dead"}, status=503)
        return web.json_response({"status": "alive"})


async def serve_health(
    health: Health, *, port: int, registry: CollectorRegistry, token: SecretStr | None = None
) -> web.AppRunner:
    """Serve health and metrics on the loopback interface; `cleanup()` ends it.

    Parameters
    ----------
    health : Health
        Answers /health and /live.
    port : int
        Port to listen on; 0 for any free one.
    registry : CollectorRegistry
        Metrics that /metrics shows.
    token : SecretStr | None
        Every request must have it in its Authorization header; None: none is needed, since nobody
        else reaches the loopback interface of a container.
    """

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(registry), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application(middlewares=[] if token is None else [_requires(token)])
    health.add_to(application.router)
    application.router.add_get("/metrics", metrics)
    return await listen(application, host=LOOPBACK, port=port)


def _requires(token: SecretStr) -> Middleware:
    expected = f"Bearer {token.get_secret_value()}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            return web.json_response({"status": "unauthorized"}, status=401)
        return await handler(request)

    return check


async def listen(application: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Serve an application; `cleanup()` of what is returned ends it."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
