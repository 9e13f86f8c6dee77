"""/health and /metrics of a long-running service, for what watches it inside its container."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry

from axon.adapters.observability.metrics import CONTENT_TYPE, exposition

Check = Callable[[], Awaitable[dict[str, object] | None]]
"""Tells what /health says, or None while the service could not serve what came now."""

LOOPBACK = "127.0.0.1"


async def serve_health(check: Check, *, port: int, registry: CollectorRegistry) -> web.AppRunner:
    """Serve both on the loopback interface; `cleanup()` ends it."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(registry), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/health", health_handler(check))
    application.router.add_get("/metrics", metrics)
    return await listen(application, host=LOOPBACK, port=port)


def health_handler(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return what answers /health: 200 with what `check` returns, or 503 while it returns None."""

    async def health(_request: web.Request) -> web.Response:
        state = await check()
        if state is None:
            return web.json_response({"status": "unavailable"}, status=503)
        return web.json_response({"status": "ok", **state})

    return health


async def listen(application: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Serve an application; `cleanup()` of what is returned ends it."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
