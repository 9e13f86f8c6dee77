"""Bounds of JSON schemas: what an engine's grammar compiler may be asked to compile.

They are checked before a request is accepted, by counting alone: a schema within them may still be
one that an engine refuses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from axon.exceptions import RequestError
from axon.protocol.patterns import pattern_cost

MAX_PROPERTIES = 2_500
"""Properties of a schema. OpenAI takes 5,000 ("Structured Outputs: supported schemas", 2026); with
as many, xgrammar 0.2.8 needs 3 s of CPU, and 1 s with these (a vocabulary of 49,000 tokens)."""
MAX_OPTIONAL_PROPERTIES = 500
"""Those of them that an object may lack. OpenAI takes none; xgrammar's time grows with the square
of their number: 1.1 s of CPU for 500, 4.8 s for 1,000, more than 90 s for 2,500."""
MAX_ENUM_VALUES = 1_000
"""Values of all `enum`s of a schema (OpenAI's limit)."""
MAX_NAME_CHARACTERS = 50_000
"""Characters of all names of properties and definitions, and of all values of `enum` and `const`.
OpenAI takes 120,000, for which xgrammar needs 5 s and 400 MB; 40,000 take 1.2 s."""
MAX_PATTERN_CHARACTERS = 2_000
"""Characters of a `pattern`: vLLM's compiler dies of 30,000 parentheses."""
MAX_PATTERN_COST = 5_000
"""Positions of all patterns of a schema, with repetitions written out (`pattern_cost`)."""
MAX_COUNT = 2**31 - 1
"""Largest bound of a length or a number of items: compilers keep it in 32 bits. Its size is no cost
in xgrammar, but each different one takes up to 3 s, which no count here can foresee."""
MAX_PARAM_CHARACTERS = 256
"""Characters of the path in an error: it consists of a client's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaBounds:
    """The bounds that depend on who reads a schema; the defaults are those of formats.

    Parameters
    ----------
    properties : int
        Most properties.
    optional : int
        Most properties that an object may lack.
    pattern_cost : int
        Largest sum of the patterns' costs.
    """

    properties: int = MAX_PROPERTIES
    optional: int = MAX_OPTIONAL_PROPERTIES
    pattern_cost: int = MAX_PATTERN_COST


FORMAT_BOUNDS = SchemaBounds()
TOOL_BOUNDS = SchemaBounds(properties=5_000, optional=5_000, pattern_cost=100_000)
"""No engine compiles the parameters of tools, so OpenAI's 5,000 properties are no cost here. What
is written is bounded as in formats; `^.{1,5000}$` passes, and groups that multiply do not."""

_NAMED_SCHEMAS = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
)
_DATA = frozenset(("enum", "const", "default", "example", "examples", "required"))
_COUNTS = frozenset(
    (
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minContains",
        "maxContains",
        "minProperties",
        "maxProperties",
    )
)


def check_format_schema(schema: Mapping[str, Any], *, owner: str, param: str) -> None:
    """Check the schema of an answer's format, as `check_schema` does.

    Raises
    ------
    RequestError
        As `check_schema`.
    """
    check_schema(schema, owner=owner, param=param, code="invalid_json_schema")


def check_tool_schema(schema: Mapping[str, Any], *, owner: str, param: str) -> None:
    """Check the schema of a tool's parameters, as `check_schema` does.

    Raises
    ------
    RequestError
        As `check_schema`.
    """
    check_schema(
        schema, owner=owner, param=param, code="invalid_function_parameters", bounds=TOOL_BOUNDS
    )


def check_schema(
    schema: Mapping[str, Any],
    *,
    owner: str,
    param: str,
    code: str,
    bounds: SchemaBounds = FORMAT_BOUNDS,
) -> None:
    """Check that a schema is within the bounds.

    It may be anything that JSON can say and that is not nested deeper than a message may be
    (`MAX_DEPTH` of `axon.protocol.messages`); nothing is followed, so references cost nothing here.

    Parameters
    ----------
    schema : Mapping[str, Any]
        A client's JSON schema.
    owner : str
        The format or function that it belongs to, for the error.
    param : str
        Path of the schema in the request, for the error.
    code : str
        OpenAI's code for a schema of this kind that is refused.
    bounds : SchemaBounds
        Bounds of a schema of this kind.

    Raises
    ------
    RequestError
        It is not; the error names the part of the schema and the remedy.
    """
    sizes = _Sizes(bounds)
    for path, each in _schemas(schema, param):
        excess = sizes.add(each)
        if excess is not None:
            part, what = excess
            raise RequestError(
                f"Invalid schema for {owner}: {what}",
                code=code,
                param=_path(path, part),
            )


@dataclass(slots=True)
class _Sizes:
    """Sums over the schemas that were looked at."""

    bounds: SchemaBounds
    properties: int = 0
    optional: int = 0
    enum_values: int = 0
    characters: int = 0
    pattern_cost: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, schema: Mapping[str, Any]) -> tuple[str, str] | None:
        """Count one schema without those inside it; return what exceeds a bound, and the remedy."""
        return (
            self._add_properties(schema)
            or self._add_values(schema)
            or self._add_patterns(schema)
            or _excessive_count(schema)
        )

    def _add_properties(self, schema: Mapping[str, Any]) -> tuple[str, str] | None:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            required = schema.get("required")
            names = _texts(required) if isinstance(required, list) else set()
            self.properties += len(properties)
            self.optional += len(properties.keys() - names)
        for keyword in _NAMED_SCHEMAS & schema.keys():
            if isinstance(schema[keyword], dict):
                self.characters += sum(map(len, schema[keyword]))
        if self.properties > self.bounds.properties:
            return "properties", _too_many(f"{self.bounds.properties} properties", "Split it.")
        if self.optional > self.bounds.optional:
            remedy = "List more of them in 'required', and let their type be a union with 'null'."
            return "properties", _too_many(
                f"{self.bounds.optional} properties that are not in 'required'", remedy
            )
        return self._excessive_names("properties")

    def _add_values(self, schema: Mapping[str, Any]) -> tuple[str, str] | None:
        values = schema.get("enum")
        if isinstance(values, list):
            self.enum_values += len(values)
            self.characters += sum(map(_characters, values))
        if self.enum_values > MAX_ENUM_VALUES:
            return "enum", _too_many(f"{MAX_ENUM_VALUES} enum values", "Use a string instead.")
        self.characters += _characters(schema.get("const"))
        return self._excessive_names("enum" if "enum" in schema else "const")

    def _excessive_names(self, part: str) -> tuple[str, str] | None:
        if self.characters <= MAX_NAME_CHARACTERS:
            return None
        what = f"{MAX_NAME_CHARACTERS} characters of names, enum values and constants"
        return part, _too_many(what, "Shorten them.")

    def _add_patterns(self, schema: Mapping[str, Any]) -> tuple[str, str] | None:
        for part, pattern in _patterns(schema):
            # Compilers compile a pattern that comes again once.
            if pattern in self._seen:
                continue
            self._seen.add(pattern)
            if len(pattern) > MAX_PATTERN_CHARACTERS:
                return part, _too_many(
                    f"{MAX_PATTERN_CHARACTERS} characters in a pattern", "Shorten it."
                )
            self.pattern_cost += pattern_cost(pattern)
            if self.pattern_cost > self.bounds.pattern_cost:
                return part, (
                    "its patterns are too complex. Use shorter ones, fewer groups inside each "
                    "other, and smaller bounds of repetitions."
                )
        return None


def _schemas(schema: Mapping[str, Any], param: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the schema and all schemas inside it, with their paths, outer ones first.

    An unknown keyword may hold schemas, too, which a `$ref` can name.
    """
    # A path is cut where it is made, and made for schemas alone: one for each number of a long list
    # deep inside would take a gigabyte.
    left: list[tuple[str, Any]] = [(param, schema)]
    while left:
        path, value = left.pop()
        if isinstance(value, list):
            left += [
                (_path(path, n), inner)
                for n, inner in enumerate(value)
                if isinstance(inner, dict | list)
            ]
            continue
        yield path, value
        for keyword, inner in value.items():
            if keyword in _NAMED_SCHEMAS and isinstance(inner, dict):
                left += [
                    (_path(path, keyword, name), each)
                    for name, each in inner.items()
                    if isinstance(each, dict | list)
                ]
            elif keyword not in _DATA and isinstance(inner, dict | list):
                left.append((_path(path, keyword), inner))


def _path(*parts: str | int) -> str:
    return ".".join(str(part) for part in parts)[:MAX_PARAM_CHARACTERS]


def _patterns(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(pattern := schema.get("pattern"), str):
        yield "pattern", pattern
    if isinstance(named := schema.get("patternProperties"), dict):
        for name in named:
            yield "patternProperties", name


def _excessive_count(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    for keyword in sorted(_COUNTS & schema.keys()):
        count = schema[keyword]
        if isinstance(count, int | float) and not 0 <= count <= MAX_COUNT:
            return keyword, f"it must be from 0 to {MAX_COUNT}. Use another number."
    return None


def _characters(value: Any) -> int:
    """Return the characters of all names and texts in a JSON value."""
    count, left = 0, [value]
    while left:
        match left.pop():
            case str() as text:
                count += len(text)
            case dict() as members:
                count += sum(map(len, members))
                left += members.values()
            case list() as items:
                left += items
            case None:
                pass
            case number:
                count += len(str(number))
    return count


def _texts(values: list[Any]) -> set[str]:
    return {value for value in values if isinstance(value, str)}


def _too_many(what: str, remedy: str) -> str:
    return f"a schema may have at most {what}. {remedy}"
