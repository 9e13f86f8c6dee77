import pytest

from front.openapi.types import type_of


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any value"),
        ({"type": "string", "minLength": 1, "maxLength": 256}, "string, 1 to 256 characters"),
        ({"type": "string", "maxLength": 2000}, "string, at most 2,000 characters"),
        ({"type": "string", "minLength": 1}, "string, at least 1 characters"),
        ({"type": "string", "pattern": "^<"}, "string, like <code>^&lt;</code>"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "integer, at least 0, at most 9"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, more than 0"),
        ({"type": ["boolean", "null"]}, "boolean or null"),
        ({"const": "<"}, "<code>&quot;&lt;&quot;</code>"),
        ({"enum": [None, 1]}, "<code>null</code> or <code>1</code>"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/A"}, "maxItems": 2},
            'array of <a href="#shape-A">A</a>, at most 2 entries',
        ),
    ],
)
def test_type_is_said_in_words(schema: dict[str, object], words: str) -> None:
    assert type_of(schema) == words
