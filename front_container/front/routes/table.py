"""The table of routes: the application's, and those of the document that describes it."""

from collections.abc import Callable, Sequence

from front.context import FrontContext
from front.routes import (
    chat,
    conversations,
    health,
    messages,
    models,
    playground,
    reference,
    request_bodies,
    responses,
    websocket,
)
from front.routing import OpenRoute, Route


def all_routes(context: FrontContext, *, ready: Callable[[], bool]) -> Sequence[Route | OpenRoute]:
    """Return all routes.

    Parameters
    ----------
    context : FrontContext
        The parts that the routes use.
    ready : Callable[[], bool]
        Returns whether requests that came now could be served.
    """
    routes: list[Route | OpenRoute] = []
    for module in (
        *(responses, websocket, conversations, chat, messages),
        *(models, request_bodies),
    ):
        routes += module.routes(context)
    routes += health.routes(context, ready=ready)
    if context.playground:
        routes += playground.routes()
    return (*routes, *reference.routes(routes))
