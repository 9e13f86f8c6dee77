"""The playground: a page at ``/`` that speaks the public API, with its files beside it."""

import re
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from front.operations.operation import HTML, Answer, Operation
from front.operations.parameters import PathParameter
from front.pages import StaticFile
from front.routing import OpenRoute

_POLICY = "; ".join(
    (
        # Files of the front alone: nothing inline, no eval, no other host, no frame around it.
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text of a model cannot become HTML: browsers refuse to set `innerHTML`.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PAGE = "index.html"
_TAG = "Playground"
_UNCHANGED = Answer("The client has it.")
_PAGE_OPERATION = Operation(
    id="getPlayground",
    tag=_TAG,
    summary="Serve a page to try the API",
    answers={200: Answer("The page.", {HTML: None}), 304: _UNCHANGED},
)
_FILE_OPERATION = Operation(
    id="getPlaygroundFile",
    tag=_TAG,
    summary="Serve a file of that page",
    parameters=(PathParameter("file", "The file's name."),),
    answers={
        200: Answer("The file.", {media.partition(";")[0]: None for media in _TYPES.values()}),
        304: _UNCHANGED,
    },
)


def routes() -> Sequence[OpenRoute]:
    """Return the page at ``/`` and its files below ``/playground/``; none needs a key.

    They are read here, once: no path of a request is ever looked up in a file system.
    """
    folder = resources.files("front").joinpath("static", "playground")
    files = {file.name: _file(file) for file in folder.iterdir() if _ending(file) in _TYPES}
    page = files.pop(_PAGE)

    async def serve(request: web.Request) -> web.Response:
        return await files[request.match_info["file"]].serve(request)

    names = "|".join(map(re.escape, sorted(files)))
    path = f"/playground/{{file:{names}}}"
    return (
        OpenRoute(method="GET", path="/", operation=_PAGE_OPERATION, handler=page.serve),
        OpenRoute(method="GET", path=path, operation=_FILE_OPERATION, handler=serve),
    )


def _file(file: Traversable) -> StaticFile:
    media = _TYPES[_ending(file)]
    return StaticFile(body=file.read_bytes(), content_type=media, headers=_HEADERS)


def _ending(file: Traversable) -> str:
    return file.name.rpartition(".")[2]
