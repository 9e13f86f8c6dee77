"""The reference of the API as one HTML page, made of its OpenAPI document.

It has no script: whatever a browser finds, prints or reads aloud is in it from the beginning.
"""

from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources

from axon.protocol.objects import Json
from front.openapi.types import anchor, text, type_of

_SHAPES = "shapes"
_REF = "#/components/"


def reference_page(document: Json) -> str:
    """Return the page that shows an OpenAPI document of Axon's."""
    return "\n".join(_Page(document).parts())


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._by_tag: dict[str, list[tuple[str, str, Json]]] = {}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                listed = self._by_tag.setdefault(operation["tags"][0], [])
                listed.append((method.upper(), path, operation))

    def parts(self) -> Iterator[str]:
        """Yield the page."""
        title = f"{escape(self._document['info']['title'])} API reference"
        style = resources.files("front").joinpath("static", "reference.css").read_text("utf-8")
        yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>"
        yield '<a class="skip" href="#main">Skip to the content</a>'
        yield from self._navigation()
        yield f'<main id="main">\n<h1>{title}</h1>'
        yield from self._introduction()
        for tag, operations in self._by_tag.items():
            yield f'<section aria-labelledby="{_tag_id(tag)}">'
            yield f'<h2 id="{_tag_id(tag)}">{escape(tag)}</h2>'
            for method, path, operation in operations:
                yield from self._operation(method, path, operation)
            yield "</section>"
        yield from self._shapes()
        yield "</main>\n</body>\n</html>\n"

    def _navigation(self) -> Iterator[str]:
        yield '<nav aria-label="Contents">'
        for tag, operations in self._by_tag.items():
            yield f'<h2><a href="#{_tag_id(tag)}">{escape(tag)}</a></h2>\n<ul>'
            for _, _, operation in operations:
                name = escape(operation["operationId"])
                yield f'<li><a href="#{name}">{text(operation["summary"])}</a></li>'
            yield "</ul>"
        yield f'<h2><a href="#{_SHAPES}">Shapes</a></h2>\n</nav>'

    def _introduction(self) -> Iterator[str]:
        info = self._document["info"]
        yield f"<p>{text(info['summary'])} {text(info['description'])}</p>"
        yield '<p>Programs read it as <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        yield "<h2>API key</h2>\n<ul>"
        for scheme in self._document["components"]["securitySchemes"].values():
            header = scheme.get("name") or "Authorization: Bearer"
            yield f"<li><code>{escape(header)}</code>: {text(scheme['description'])}</li>"
        yield "</ul>"

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        yield f'<h3 id="{escape(operation["operationId"])}">{text(operation["summary"])}</h3>'
        yield f'<p><code><span class="method">{method}</span> {escape(path)}</code></p>'
        if "description" in operation:
            yield f"<p>{text(operation['description'])}</p>"
        if operation.get("security") == []:
            yield '<p class="quiet">Needs no API key.</p>'
        yield from self._parameters(operation)
        if body := operation.get("requestBody"):
            types = " or ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
            schema = next(iter(body["content"].values()))["schema"]
            yield f"<h4>Body</h4>\n<p>{type_of(schema)}, as {types}</p>"
        yield from self._answers(operation["responses"])

    def _parameters(self, operation: Json) -> Iterator[str]:
        rows = map(_parameter, map(self._resolved, operation["parameters"]))
        yield "<h4>Parameters</h4>"
        yield from _table("Parameters", ("Name", "Type", "Description"), rows)

    def _answers(self, answers: Json) -> Iterator[str]:
        yield "<h4>Answers</h4>"
        rows = (
            (f"<code>{status}</code>", text(answer["description"]), _content(answer))
            for status, answer in ((key, self._resolved(each)) for key, each in answers.items())
        )
        yield from _table("Answers", ("Status", "When", "Body"), rows)

    def _shapes(self) -> Iterator[str]:
        yield f'<section aria-labelledby="{_SHAPES}">\n<h2 id="{_SHAPES}">Shapes</h2>'
        for name, schema in sorted(self._document["components"]["schemas"].items()):
            yield f'<h3 id="{escape(anchor(name))}">{escape(name)}</h3>'
            if "description" in schema:
                yield f"<p>{text(schema['description'])}</p>"
            if properties := schema.get("properties"):
                required = schema.get("required", ())
                rows = (_field(*each, required=each[0] in required) for each in properties.items())
                yield from _table(f"Fields of {name}", ("Field", "Type", "Description"), rows)
            else:
                yield f"<p>{type_of(schema)}</p>"
        yield "</section>"

    def _resolved(self, value: Json) -> Json:
        if reference := value.get("$ref"):
            kind, _, name = reference.removeprefix(_REF).partition("/")
            resolved: Json = self._document["components"][kind][name]
            return resolved
        return value


def _tag_id(tag: str) -> str:
    return "api-" + tag.lower().replace(" ", "-")


def _parameter(parameter: Json) -> tuple[str, str, str]:
    place = f"In the {parameter['in']}{', required' if parameter.get('required') else ''}."
    return (
        f"<code>{escape(parameter['name'])}</code>",
        f"{type_of(parameter['schema'])}{_default(parameter['schema'])}",
        f"{place} {text(parameter['description'])}",
    )


def _field(name: str, schema: Json, *, required: bool) -> tuple[str, str, str]:
    description = text(schema.get("description", ""))
    return (
        f"<code>{escape(name)}</code>",
        f"{type_of(schema)}{_default(schema)}",
        f"Required. {description}" if required else description,
    )


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "" if default is None else f"; {type_of({'const': default})} by default"


def _content(answer: Json) -> str:
    """Return the bodies of an answer, by their media types."""
    bodies = []
    for kind, each in answer.get("content", {}).items():
        schema = each["schema"]
        if kind == "text/event-stream":
            bodies.append(f"<code>{kind}</code>: {_events(schema['oneOf'])}")
        else:
            bodies.append(f"<code>{escape(kind)}</code>: {type_of(schema)}")
    return "".join(f"<p>{body}</p>" for body in bodies)


def _events(events: Iterable[Json]) -> str:
    """Return the events of a stream: their names, each with its shape."""
    shown = []
    for event in events:
        fields = event["properties"]
        data = fields["data"]
        shape = type_of(data.get("contentSchema", data))
        name = fields.get("event")
        shown.append(f"{type_of(name)} {shape}" if name else shape)
    return "events " + ", ".join(shown)


def _table(
    caption: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]
) -> Iterator[str]:
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    yield f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>"
    for first, *others in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody>\n</table>"
