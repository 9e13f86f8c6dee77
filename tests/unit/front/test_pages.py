import hashlib
from base64 import b64encode

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from front.pages import StaticFile, html_page

HTML = "<!doctype html><style>a{}</style><script type='module'>\nrun()\n</script><p>é"


def source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def serve(file: StaticFile, **headers: str) -> web.Response:
    return await file.serve(make_mocked_request("GET", "/", headers=headers))


async def test_page_runs_nothing_but_what_stands_in_it() -> None:
    answer = await serve(html_page(HTML))
    assert answer.body == HTML.encode()
    assert answer.content_type == "text/html"
    directives = answer.headers["Content-Security-Policy"].split("; ")
    assert directives == [
        "default-src 'none'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        f"script-src {source(chr(10) + 'run()' + chr(10))}",
        f"style-src {source('a{}')}",
    ]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("known", "status"), [("{}", 304), ("W/{}", 304), ("*", 304), ('"other"', 200)]
)
async def test_page_is_sent_again_only_if_it_has_changed(known: str, status: int) -> None:
    page = html_page(HTML)
    first = await serve(page)
    assert first.headers["Cache-Control"] == "no-cache"
    again = await serve(page, **{"If-None-Match": known.format(first.headers["ETag"])})
    assert (again.status, bool(again.body)) == (status, status == 200)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert html_page(HTML + "!").etag != page.etag
