"""JSON schemas, friendly and hostile, as a generator of random ones makes them."""

import random
from collections.abc import Callable
from typing import Any

TEXT = {"type": "string"}
WORDS = ("a", "id", "name", "value", "pattern", "enum", "properties", "$ref", "required", "\x00")
PIECES = (
    "a", "b", "(", ")", "[", "]", "[a-z]", "|", "*", "+", "?", "{3}", "{1,50}", "{0,9999}", "{,",
    "^", "$", ".", "\\", "\\d", "\\p{L}", "\\1", "(?:", "(?=", "(?<n>", "\ud83d", "\x00", "{", "}",
)  # fmt: skip
NUMBERS = (0, 1, -1, 20, 10_000, 2**31, 10**30, 1.5, -1e300)
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
REFERENCES = ("#", "#/$defs/a", "#/nowhere", "http://127.0.0.1/x", "file:///etc/passwd", "", "##")


class Schemas:
    """A generator of schemas: most of them small, some far beyond any bound in one respect."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def schema(self, depth: int = 0) -> dict[str, Any]:
        """Return a schema; any keyword may have a value of any kind."""
        made: dict[str, Any] = {}
        makers = (self._typed, self._object, self._array, self._choice, self._string, self._odd)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            made |= self._random.choice(makers)(depth)
        return made

    def _inner(self, depth: int) -> Any:
        if self._random.random() < 0.3 + depth / 10:
            return self._random.choice((True, {}, {"type": "string"}, None, []))
        return self.schema(depth + 1)

    def _count(self) -> int:
        """Return how many parts a schema has: seldom very many."""
        return self._random.choice((0, 1, 2, 3, 3, 8)) if self._random.random() < 0.97 else 3_000

    def _words(self, count: int) -> list[str]:
        word = self._random.choice(WORDS) * self._random.choice((1, 1, 1, 50))
        return [f"{word}{n}" if n else word for n in range(count)]

    def _typed(self, depth: int) -> dict[str, Any]:
        kinds = ("object", "string", "integer", "null", "nonsense", ["string", "null"], 7)
        return {"type": self._random.choice(kinds)}

    def _object(self, depth: int) -> dict[str, Any]:
        words = self._words(self._count())
        named = {word: TEXT if len(words) > 100 else self._inner(depth) for word in words}
        made: dict[str, Any] = {"type": "object", "properties": named}
        if self._random.random() < 0.5:
            made["required"] = [*named, *([1] if self._random.random() < 0.1 else [])]
        if self._random.random() < 0.2:
            made["patternProperties"] = {self.pattern(): self._inner(depth)}
        return made

    def _array(self, depth: int) -> dict[str, Any]:
        return {"type": "array", "items": self._inner(depth), **self._counted()}

    def _choice(self, depth: int) -> dict[str, Any]:
        keyword = self._random.choice(("anyOf", "oneOf", "allOf", "prefixItems", "not", "x-other"))
        return {keyword: [self._inner(depth) for _ in range(min(self._count(), 8))]}

    def _string(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "string", **self._counted()}
        if self._random.random() < 0.5:
            made["pattern"] = self.pattern()
        if self._random.random() < 0.3:
            made["enum"] = self._words(self._count())
        return made

    def _odd(self, depth: int) -> dict[str, Any]:
        values: tuple[Callable[[], dict[str, Any]], ...] = (
            lambda: {"$ref": self._random.choice(REFERENCES)},
            lambda: {"$defs": {word: self._inner(depth) for word in self._words(2)}},
            lambda: {"const": self._words(self._count())},
            lambda: {self._random.choice(WORDS): self._random.choice(NUMBERS)},
            lambda: {"pattern": self._random.choice((7, None, ["a"], {"a": 1}))},
            lambda: {"properties": self._random.choice(([], "a", 3, None))},
            lambda: {"enum": self._random.choice(({}, "a", None, [None, 1, {"a": ["b"]}]))},
        )
        return self._random.choice(values)()

    def _counted(self) -> dict[str, Any]:
        if self._random.random() < 0.6:
            return {}
        return {self._random.choice(COUNTS): self._random.choice(NUMBERS)}

    def pattern(self) -> str:
        """Return a regular expression, or what looks a bit like one."""
        count = self._random.choice((1, 3, 8, 20)) if self._random.random() < 0.95 else 3_000
        if self._random.random() < 0.1:
            return self._random.choice(PIECES) * count
        return "".join(self._random.choices(PIECES, k=count))
