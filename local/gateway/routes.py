"""Selects the route of a message."""

import json
from collections.abc import Collection
from typing import Any

from local.gateway.config import DEFAULT

_PREFIX = "$request.body."


class RouteSelector:
    """Selects the route that a field of the message's JSON names, as `$request.body.type` does.

    `$default` gets all other messages: those with another value, without the field, or that are
    not JSON. The predefined routes cannot be selected by their names.
    """

    def __init__(self, *, expression: str, routes: Collection[str]) -> None:
        self._path = expression.removeprefix(_PREFIX).split(".")
        self._keys = frozenset(key for key in routes if not key.startswith("$"))
        self._fallback = DEFAULT if DEFAULT in routes else None

    def select(self, body: str) -> str | None:
        """Return the route's key, or None if the API has none for this message."""
        if not self._keys:
            return self._fallback
        try:
            value: Any = json.loads(body)
        except (ValueError, RecursionError):
            return self._fallback
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and value in self._keys:
            return value
        return self._fallback
