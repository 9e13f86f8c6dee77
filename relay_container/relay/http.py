"""The relay's HTTP port, behind the load balancer: /health, /live, and an error for the rest."""

from aiohttp import web

from axon.adapters.observability.health import Health, listen

_ALL = "0.0.0.0"  # noqa: S104 - the load balancer comes from outside the container


async def serve_http(health: Health, *, port: int) -> web.AppRunner:
    """Serve on every interface; the runner's `cleanup` ends it."""
    application = web.Application()
    health.add_to(application.router)
    application.router.add_route("*", r"/{path:[\s\S]*}", _unknown)
    return await listen(application, host=_ALL, port=port)


async def _unknown(request: web.Request) -> web.Response:
    """Refuse in the form of OpenAI's errors, and say how to reach Axon."""
    message = (
        f"Unknown URL ({request.method} {request.path}). Axon answers over WebSocket: "
        "use client.responses.connect() with the deployment's WebSocketUrl."
    )
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }
    return web.json_response({"error": error}, status=404)
