"""Health of the front, for balancers: two questions with two answers."""

from collections.abc import Callable, Sequence

from aiohttp import web

from front.context import FrontContext
from front.operations.answers.health import Health
from front.operations.operation import JSON, Answer, Operation
from front.routing import OpenRoute

_HEALTHZ = Operation(
    id="getHealth",
    tag="Health",
    summary="Say that the process answers",
    description="Nothing outside the process can fail it.",
    answers={200: Answer("It does.", {JSON: Health})},
)
_READYZ = Operation(
    id="getReadiness",
    tag="Health",
    summary="Say whether requests can be served",
    answers={
        200: Answer("They can.", {JSON: Health}),
        503: Answer("Valkey is away, or the front ends.", {JSON: Health}),
    },
)


def routes(context: FrontContext, *, ready: Callable[[], bool]) -> Sequence[OpenRoute]:
    """Return /healthz and /readyz.

    /healthz says that the process answers; nothing outside it can fail it. /readyz says whether
    requests that came now could be served: not while Valkey is away, or while the front ends.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        if context.requests.draining or not ready():
            return web.json_response({"status": "unavailable"}, status=503)
        return web.json_response({"status": "ok"})

    return (
        OpenRoute(method="GET", path="/healthz", operation=_HEALTHZ, handler=healthz),
        OpenRoute(method="GET", path="/readyz", operation=_READYZ, handler=readyz),
    )
