"""Bounds of formats and tool definitions: refused by name, or accepted, in little time."""

import os
import time
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.requests import CreateResponse, parse_event
from axon.protocol.schemas import (
    MAX_COUNT,
    MAX_ENUM_VALUES,
    MAX_NAME_CHARACTERS,
    MAX_OPTIONAL_PROPERTIES,
    MAX_PROPERTIES,
    check_schema,
)
from tests.unit.axon.protocol.schema_samples import Schemas

MESSAGES = int(os.environ.get("AXON_FUZZ_MESSAGES", "6000"))
SEED = int(os.environ.get("AXON_FUZZ_SEED", "12"))
TEXT = {"type": "string"}
PARENTHESES = "(" * 30_000 + ")" * 30_000


def create(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "model": "echo", "input": "hi", **fields}


def with_format(schema: Any, *, name: str = "answer") -> dict[str, Any]:
    return create(text={"format": {"type": "json_schema", "name": name, "schema": schema}})


def with_tool(schema: Any) -> dict[str, Any]:
    return create(tools=[{"type": "function", "name": "look_up", "parameters": schema}])


def refusal(message: dict[str, Any]) -> RequestError | None:
    try:
        assert isinstance(parse_event(message), CreateResponse)
    except RequestError as error:
        return error
    return None


def properties(count: int, *, required: int = 0) -> dict[str, Any]:
    names = [f"p{n}" for n in range(count)]
    return {
        "type": "object",
        "properties": dict.fromkeys(names, TEXT),
        "required": names[:required],
    }


HOSTILE: dict[str, tuple[dict[str, Any], str, str]] = {
    "pattern of parentheses": (
        {"type": "object", "properties": {"a": {"type": "string", "pattern": PARENTHESES}}},
        "properties.a.pattern",
        "2000 characters in a pattern",
    ),
    "enum values": (
        {"type": "array", "items": {"enum": list(range(MAX_ENUM_VALUES + 1))}},
        "items.enum",
        "1000 enum values",
    ),
    "long enum values": (
        {"$defs": {"x": {"enum": ["v" * (MAX_NAME_CHARACTERS + 1)]}}},
        "$defs.x.enum",
        "50000 characters of names",
    ),
    "long names": (
        {"$defs": {f"{n}" * 500: TEXT for n in range(500)}},
        "properties",
        "50000 characters of names",
    ),
    "a long constant": (
        {"not": {"const": {"a": ["v" * 100] * 501}}},
        "not.const",
        "50000 characters of names",
    ),
    "groups inside each other": (
        {"type": "string", "pattern": "(" * 900 + ")" * 900},
        "pattern",
        "patterns are too complex",
    ),
    "repetitions that multiply": (
        {"patternProperties": {"^(([a-z]{50}){50}){50}$": True}},
        "patternProperties",
        "patterns are too complex",
    ),
    "a count without bounds": (
        {"type": "array", "items": {"type": "string", "maxLength": MAX_COUNT + 1}},
        "items.maxLength",
        "from 0 to 2147483647",
    ),
    "a negative count": ({"minItems": -1}, "minItems", "from 0 to 2147483647"),
}


FOR_FORMATS_ALONE: dict[str, tuple[dict[str, Any], str, str]] = {
    "optional properties": (
        properties(MAX_OPTIONAL_PROPERTIES + 1),
        "properties",
        "500 properties that are not in 'required'",
    ),
    "required properties": (
        properties(MAX_PROPERTIES + 1, required=MAX_PROPERTIES + 1),
        "properties",
        "2500 properties",
    ),
    "optional properties in several objects": (
        {"anyOf": [properties(MAX_OPTIONAL_PROPERTIES // 2)] * 3},
        "anyOf.0.properties",
        "500 properties that are not",
    ),
    "many patterns": (
        {"oneOf": [{"pattern": f"^.{{{n},60}}$"} for n in range(200)]},
        "pattern",
        "patterns are too complex",
    ),
    "a long repetition": (
        {"type": "string", "pattern": "^.{1,5000}$"},
        "pattern",
        "patterns are too complex",
    ),
}
"""Beyond a bound of what is compiled: no engine compiles the parameters of tools."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_schema_beyond_a_bound_is_refused_by_name(kind: str) -> None:
    schema, part, what = HOSTILE[kind]
    in_format, in_tool = refusal(with_format(schema)), refusal(with_tool(schema))
    assert_refused_format(in_format, part, what)
    assert_refused_tool(in_tool, part, what)


@pytest.mark.parametrize("kind", FOR_FORMATS_ALONE)
def test_schema_that_takes_a_compiler_long_is_refused_in_formats_alone(kind: str) -> None:
    schema, part, what = FOR_FORMATS_ALONE[kind]
    assert_refused_format(refusal(with_format(schema)), part, what)
    assert refusal(with_tool(schema)) is None


@pytest.mark.parametrize("required", [0, 5_001])
def test_schema_of_a_tool_has_a_bound_of_its_own(required: int) -> None:
    assert refusal(with_tool(properties(5_000, required=required))) is None
    error = refusal(with_tool(properties(5_001, required=required)))
    assert_refused_tool(error, "properties", "5000 properties")


def assert_refused_format(error: RequestError | None, part: str, what: str) -> None:
    assert error
    assert error.code == "invalid_json_schema"
    assert "Invalid schema for text.format 'answer'" in error.message
    assert_refused(error, "text.format.schema", part, what)


def assert_refused_tool(error: RequestError | None, part: str, what: str) -> None:
    assert error
    assert error.code == "invalid_function_parameters"
    assert "Invalid schema for function 'look_up'" in error.message
    assert_refused(error, "tools.0.parameters", part, what)


def assert_refused(error: RequestError, where: str, part: str, what: str) -> None:
    assert what in error.message
    assert error.param
    assert error.param.startswith(where)
    assert error.param.endswith(part)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        properties(MAX_OPTIONAL_PROPERTIES),
        properties(MAX_PROPERTIES, required=MAX_PROPERTIES),
        {"enum": [f"value {n}" for n in range(MAX_ENUM_VALUES)]},
        {"type": "string", "minLength": 1, "maxLength": MAX_COUNT, "description": "x" * 60_000},
        {"type": "object", "properties": {"pattern": TEXT, "enum": TEXT, "maxLength": TEXT}},
        {"$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#"},
        {"anyOf": [{"pattern": r"^\d{4}-\d\d-\d\d$"}] * 1_000},
        {"default": {"pattern": PARENTHESES}, "examples": [{"minItems": -1}]},
    ],
)
def test_schema_within_the_bounds_is_accepted(schema: dict[str, Any]) -> None:
    assert refusal(with_format(schema)) is None
    assert refusal(with_tool(schema)) is None


def test_schema_path_in_an_error_is_short() -> None:
    schema: dict[str, Any] = {"minItems": -1}
    for _ in range(25):
        schema = {"properties": {"n" * 1_000: schema}}
    error = refusal(with_tool(schema))
    assert error
    assert error.param
    assert len(error.param) <= 256


@pytest.mark.timeout(0 if MESSAGES > 20_000 else 120)
def test_schema_of_any_shape_is_refused_by_name_or_accepted() -> None:
    schemas, seen, slowest = Schemas(seed=SEED), Counter[str](), 0.0
    for n in range(MESSAGES // 2):
        schema = schemas.schema()
        for message, where in (
            (with_format(schema), "text.format.schema"),
            (with_tool(schema), "tools.0.parameters"),
        ):
            began = time.process_time()
            error = refusal(message)
            slowest = max(slowest, time.process_time() - began)
            seen[error.code if error else "accepted"] += 1
            if error:
                assert (error.param or "").startswith(where), (n, error.param)
                assert error.message.endswith("."), (n, error.message)
    assert seen.keys() == {"accepted", "invalid_json_schema", "invalid_function_parameters"}
    assert min(seen.values()) > MESSAGES / 100
    assert slowest < 0.5  # 0.02 s on a machine that does nothing else


def test_schema_takes_no_more_memory_than_some_of_its_message() -> None:
    schema: Any = [0] * 60_000
    for level in range(55):
        schema = {f"{level:02}" + "x" * 62: schema}
    tracemalloc.start()
    try:
        check_schema(schema, owner="format", param="schema", code="invalid_json_schema")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # the message has 128 KB
    finally:
        tracemalloc.stop()
