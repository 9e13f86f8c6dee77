"""Parts of OpenAPI documents."""

from collections.abc import Iterator
from typing import Any


def references(value: Any) -> Iterator[str]:
    """Yield all references of a document, or of a part of one."""
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
