import re
from html.parser import HTMLParser

from front.openapi.document import document_of
from front.openapi.page import reference_page
from front.routes.table import all_routes
from tests.unit.front.front_harness import FrontHarness

VOID = {"meta"}


class Outline(HTMLParser):
    """Collects what a page has; elements must be closed in the order in which they are opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.headings: list[int] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        given = dict(attrs)
        if identifier := given.get("id"):
            self.ids.append(identifier)
        if address := given.get("href"):
            self.links.append(address)
        if re.fullmatch(r"h\d", tag) and "nav" not in self._open:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def an_operation(**fields: object) -> dict[str, object]:
    operation = {"operationId": "a", "tags": ["A"], "summary": "A", "parameters": []}
    return operation | {"responses": {}} | fields


def test_page_shows_each_operation_and_shape_under_an_id_of_its_own() -> None:
    context = FrontHarness(playground=True).context
    document = document_of(all_routes(context, ready=lambda: True))
    page = Outline(reference_page(document))
    assert len(set(page.ids)) == len(page.ids)
    operations = [each for path in document["paths"].values() for each in path.values()]
    shapes = document["components"]["schemas"]
    shown = {each["operationId"] for each in operations} | {f"shape-{name}" for name in shapes}
    assert shown <= set(page.ids)
    assert {link.removeprefix("#") for link in page.links} - {"openapi.json"} <= set(page.ids)


def test_page_is_plain_html_without_scripts_and_other_hosts() -> None:
    context = FrontHarness(playground=True).context
    page = Outline(reference_page(document_of(all_routes(context, ready=lambda: True))))
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "form"})
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert not [link for link in page.links if "//" in link]
    assert page.headings[0] == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(following <= heading + 1 for heading, following in steps)


def test_page_escapes_what_the_document_says() -> None:
    operation = an_operation(
        summary="<b>", description="`<i>` & <u>", responses={"200": {"description": "<s>"}}
    )
    shape = {"description": "<q>", "properties": {"<p>": {"enum": ["<em>"]}}}
    document = {
        "info": {"title": "<h1>", "summary": "<h2>", "description": "<h3>"},
        "paths": {"/<a>": {"get": operation}},
        "components": {"schemas": {"X": shape}, "securitySchemes": {}},
    }
    page = reference_page(document)
    assert "<code>&lt;i&gt;</code> &amp; &lt;u&gt;" in page
    assert "/&lt;a&gt;" in page
    for element in ("<b>", "<i>", "<u>", "<s>", "<q>", "<em>", "<a>"):
        assert element not in page


async def test_page_is_served_without_a_key_under_a_policy_that_allows_no_script(
    harness: FrontHarness,
) -> None:
    async with harness.client.get("/docs", headers={"Authorization": ""}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "createResponse" in await answer.text()
    assert "default-src 'none'" in policy
    assert "style-src 'sha256-" in policy
    assert "script-src" not in policy
