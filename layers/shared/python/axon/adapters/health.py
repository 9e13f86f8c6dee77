"""GET /health of a long-running service: whether it could serve what came now."""

from collections.abc import Awaitable, Callable

from aiohttp import web


async def serve_health(
    check: Callable[[], Awaitable[dict[str, object] | None]], *, port: int
) -> web.AppRunner:
    """Serve 200 with what `check` returns, or 503 while it returns None; `cleanup()` ends it.

    Loopback only: the container's health check runs inside it.
    """

    async def health(_request: web.Request) -> web.Response:
        state = await check()
        if state is None:
            return web.json_response({"status": "unavailable"}, status=503)
        return web.json_response({"status": "ok", **state})

    application = web.Application()
    application.router.add_get("/health", health)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner
