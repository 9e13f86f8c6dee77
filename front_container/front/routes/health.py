"""Health of the front, for balancers: two questions with two answers."""

from collections.abc import Callable

from aiohttp import web

from front.context import FrontContext


def add_routes(
    application: web.Application, context: FrontContext, *, ready: Callable[[], bool]
) -> None:
    """Add /healthz and /readyz, which need no key.

    /healthz says that the process answers; nothing outside it can fail it. /readyz says whether
    requests that came now could be served: not while Valkey is away, or while the front ends.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        if context.requests.draining or not ready():
            return web.json_response({"status": "unavailable"}, status=503)
        return web.json_response({"status": "ok"})

    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
