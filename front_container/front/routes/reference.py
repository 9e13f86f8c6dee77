"""``GET /openapi.json``: the description of the API, which is the same for everybody."""

from collections.abc import Sequence
from functools import cache

from aiohttp import web

from axon.serialization import dumps
from front.openapi.document import document_of
from front.operations.operation import JSON, Answer, Operation
from front.pages import StaticFile
from front.routing import OpenRoute, Route

_DOCUMENT = Operation(
    id="getOpenApi",
    tag="Reference",
    summary="Describe the API, as this document",
    answers={
        200: Answer("An OpenAPI document.", {JSON: dict[str, object]}),
        304: Answer("The client has it."),
    },
)


def routes(others: Sequence[Route | OpenRoute]) -> Sequence[OpenRoute]:
    """Return the route of the document.

    Parameters
    ----------
    others : Sequence[Route | OpenRoute]
        All other routes, which the document describes, too.
    """

    @cache
    def document() -> StaticFile:
        # At the first request: a process that nobody asks for it has no use for its 0.1 s of CPU.
        return StaticFile(body=dumps(document_of([*others, *own])), content_type=JSON)

    async def openapi(request: web.Request) -> web.Response:
        return await document().serve(request)

    own = (OpenRoute(method="GET", path="/openapi.json", operation=_DOCUMENT, handler=openapi),)
    return own
