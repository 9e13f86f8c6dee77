"""Types of JSON values in words, as the reference shows them."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from axon.protocol.objects import Json

_CODE = re.compile(r"`([^`]+)`")
_REF = "#/components/schemas/"


def text(markdown: str) -> str:
    """Return a description as HTML: escaped, with what stands in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(markdown))


def code(value: Any) -> str:
    """Return a JSON value as HTML."""
    return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"


def anchor(name: str) -> str:
    """Return the id of a schema's place in the page."""
    return f"shape-{name}"


def type_of(schema: Json) -> str:
    """Return what values a schema describes, as HTML."""
    if reference := schema.get("$ref"):
        name = reference.removeprefix(_REF)
        return f'<a href="#{escape(anchor(name))}">{escape(name)}</a>'
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return " or ".join(map(code, schema["enum"]))
    for joined in ("anyOf", "oneOf"):
        if joined in schema:
            return " or ".join(dict.fromkeys(map(type_of, schema[joined])))
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        return f"array of {type_of(items)}{_bounds(schema, 'Items', 'entries')}"
    return _plain(schema)


def _plain(schema: Json) -> str:
    """Return the type of a value that has no parts with types of their own."""
    kind = schema.get("type", "any value")
    kinds = kind if isinstance(kind, list) else [kind]
    words = " or ".join(map(escape, kinds))
    details = [
        _bounds(schema, "Length", "characters"),
        _bounds(schema, "Properties", "entries"),
        *_numbers(schema),
    ]
    if content := schema.get("contentSchema"):
        details.append(f", JSON of {type_of(content)}")
    if pattern := schema.get("pattern"):
        details.append(f", like <code>{escape(pattern)}</code>")
    return words + "".join(details)


def _bounds(schema: Json, of: str, unit: str) -> str:
    """Return the bounds of a length, if there are any."""
    least, most = schema.get(f"min{of}"), schema.get(f"max{of}")
    match least, most:
        case None, None:
            return ""
        case _, None:
            return f", at least {least:,} {unit}"
        case ((None | 0), _):
            return f", at most {most:,} {unit}"
    return f", {least:,} to {most:,} {unit}"


def _numbers(schema: Json) -> Iterator[str]:
    for name, words in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    ):
        if name in schema:
            yield f", {words} {schema[name]:,}"
