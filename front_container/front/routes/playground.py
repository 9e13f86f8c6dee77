"""The playground: a page at ``/`` that speaks the public API, with its files beside it."""

from importlib import resources

from aiohttp import web

from front.pages import StaticFile

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


def add_routes(application: web.Application) -> None:
    """Add the page at ``/`` and each of its files below ``/playground/``; none needs a key.

    They are read here, once: no path of a request is ever looked up in a file system.
    """
    folder = resources.files("front").joinpath("static", "playground")
    for file in folder.iterdir():
        _, _, ending = file.name.rpartition(".")
        if ending in _TYPES:
            path = "/" if file.name == _PAGE else f"/playground/{file.name}"
            served = StaticFile(
                body=file.read_bytes(), content_type=_TYPES[ending], headers=_HEADERS
            )
            application.router.add_get(path, served.serve)
