"""Fields, items and tools of the SDK: each is served, or refused by its name."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from openai.types.responses import (
    FunctionToolParam,
    ResponseInputItemParam,
    ToolParam,
    input_token_count_params,
    response_create_params,
)

from axon.exceptions import RequestError
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse, parse_body
from axon.protocol.tools import offered_tools
from axon.protocol.unserved import (
    CLIENT_TOOLS,
    HINTS,
    UNSERVED,
    UNSERVED_IN_TOOLS,
    UNSERVED_TOOLS,
    refuse_tools,
)

REQUEST = {"model": "echo", "input": "hi"}
TOOL = {"type": "function", "name": "f"}
FIELDS = {
    *response_create_params.ResponseCreateParamsBase.__annotations__,
    *response_create_params.ResponseCreateParamsStreaming.__annotations__,
    *input_token_count_params.InputTokenCountParams.__annotations__,
}
SERVED_ITEMS = {
    "message", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "reasoning", "compaction",
}  # fmt: skip
TOOL_HINTS = {"output_schema"}
"""The client may describe what its function returns; the model is not told."""


def types_of(union: Any) -> Iterator[str]:
    """Yield the values of `type` in a union of the SDK's typed dictionaries."""
    for member in get_args(union):
        yield from literals(get_type_hints(member).get("type"))


def literals(hint: Any) -> Iterator[str]:
    for argument in get_args(hint):
        if isinstance(argument, str):
            yield argument
        elif get_origin(argument) is not None:
            yield from literals(argument)


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_body({**REQUEST, **fields})
    return caught.value


def test_every_field_of_the_sdk_is_served_or_taken_as_a_hint_or_refused() -> None:
    assert CreateResponse.model_fields.keys() | HINTS | UNSERVED.keys() >= FIELDS
    assert not UNSERVED.keys() & (CreateResponse.model_fields.keys() | HINTS)
    tool_fields = TOOL.keys() | {"description", "parameters", "strict"}
    assert FunctionToolParam.__annotations__.keys() <= (
        tool_fields | TOOL_HINTS | UNSERVED_IN_TOOLS.keys()
    )


@pytest.mark.parametrize("name", sorted(UNSERVED))
def test_request_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(**{name: {"type": "x"}})
    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert f"'{name}'" in error.message
    assert parse_body({**REQUEST, name: None})


@pytest.mark.parametrize("name", sorted(UNSERVED_IN_TOOLS))
def test_tool_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(tools=[TOOL, {**TOOL, name: True}])
    assert (error.code, error.param) == ("unsupported_parameter", f"tools.1.{name}")
    assert parse_body({**REQUEST, "tools": [{**TOOL, name: None}]})


def test_request_may_say_that_it_wants_nothing_special() -> None:
    parse_body(
        {
            **REQUEST,
            "stream": True,
            "stream_options": {"include_obfuscation": True, "include_usage": True},
            "context_management": [],
            "tools": [{**TOOL, "async": False, "defer_loading": False}],
        }
    )


@pytest.mark.parametrize(
    "kind", sorted({*types_of(ResponseInputItemParam), "future_item"} - SERVED_ITEMS)
)
def test_item_of_each_other_type_is_refused_by_its_place(kind: str) -> None:
    error = refused(input=[{"role": "user", "content": "hi"}, {"type": kind}])
    assert error.param == "input.1"
    assert "unknown item type" in error.message


def test_item_reference_is_refused_with_what_to_send() -> None:
    assert "providerOptions.openai" in refused(input=[{"type": "item_reference"}]).message


def test_request_has_at_most_as_many_tools_as_openai_allows() -> None:
    error = refused(tools=[TOOL] * 129)
    assert (error.code, error.param) == ("array_above_max_length", "tools")


OTHER_TOOLS = sorted({*types_of(ToolParam), "future_tool"} - set(CLIENT_TOOLS))


@pytest.mark.parametrize("kind", OTHER_TOOLS)
def test_tool_of_each_other_type_is_refused_by_its_place_unless_it_is_ignored(kind: str) -> None:
    sent = {"type": kind, "anything": {"b": None}}
    request = parse_body({**REQUEST, "tools": [TOOL, sent]})
    with pytest.raises(RequestError) as caught:
        refuse_tools(request.tools or (), ignored=("other",))
    assert (caught.value.code, caught.value.param) == ("invalid_value", "tools.1.type")
    assert f"'{kind}'" in caught.value.message
    refuse_tools(request.tools or (), ignored=(kind,))
    response = response_object(request, response_id="resp_1", created_at=0)
    assert response["tools"][1] == sent
    assert [tool.name for tool in offered_tools(response)] == ["f"]


def test_tool_that_codex_sends_is_refused_with_what_leaves_it_out() -> None:
    request = parse_body({**REQUEST, "tools": [{"type": "web_search"}]})
    with pytest.raises(RequestError, match='`web_search = "disabled"`'):
        refuse_tools(request.tools or (), ignored=())


def test_each_type_of_tool_that_is_not_served_has_a_remedy() -> None:
    dated = re.compile(r"_20\d\d_\d\d_\d\d$")
    assert {dated.sub("", kind) for kind in OTHER_TOOLS} - {"future_tool"} == UNSERVED_TOOLS.keys()
