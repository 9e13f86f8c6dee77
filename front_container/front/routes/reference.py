"""The description of the API, for programs (``/openapi.json``) and for people (``/docs``).

It needs no key: it says nothing of a deployment but what its version of the front serves.
"""

from collections.abc import Sequence
from functools import cache

from aiohttp import web

from axon.protocol.objects import Json
from axon.serialization import dumps
from front.openapi.document import document_of
from front.openapi.page import reference_page
from front.operations.operation import HTML, JSON, Answer, Operation
from front.pages import StaticFile, html_page
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


_PAGE = Operation(
    id="getReference",
    tag="Reference",
    summary="Show this document as a page",
    answers={
        200: Answer("The page, which has no script.", {HTML: None}),
        304: Answer("The client has it."),
    },
)


def routes(others: Sequence[Route | OpenRoute]) -> Sequence[OpenRoute]:
    """Return the routes of the document and of the page that shows it.

    Parameters
    ----------
    others : Sequence[Route | OpenRoute]
        All other routes, which the document describes, too.
    """

    # Each is made at the first request for it: a process that nobody asks has no use for 0.1 s of
    # CPU at its start.
    @cache
    def described() -> Json:
        return document_of([*others, *own])

    @cache
    def document() -> StaticFile:
        return StaticFile(body=dumps(described()), content_type=JSON)

    @cache
    def page() -> StaticFile:
        return html_page(reference_page(described()))

    async def openapi(request: web.Request) -> web.Response:
        return await document().serve(request)

    async def docs(request: web.Request) -> web.Response:
        return await page().serve(request)

    own = (
        OpenRoute(method="GET", path="/openapi.json", operation=_DOCUMENT, handler=openapi),
        OpenRoute(method="GET", path="/docs", operation=_PAGE, handler=docs),
    )
    return own
