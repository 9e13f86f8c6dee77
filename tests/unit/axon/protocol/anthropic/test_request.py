"""Requests of the Messages API, as requests of the Responses API."""

from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic.request import CreateMessage, parse_message, to_create_response
from axon.protocol.anthropic.unserved import HINTS, UNSERVED, UNSERVED_IN_TOOLS
from axon.protocol.requests import MAX_INPUT_CHARACTERS
from axon.protocol.view_requests import ViewRequest

USER = {"role": "user", "content": "hi"}
REQUEST: dict[str, Any] = {"model": "echo", "max_tokens": 9, "messages": [USER]}
TOOL: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def translated(**fields: Any) -> ViewRequest:
    return to_create_response(parse_message(REQUEST | fields))


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translated(**fields)
    return caught.value


def text(content: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": content} | fields


def test_request_asks_for_the_same_as_one_of_the_responses_api() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = translated(
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END", "\n\nHuman:"],
        tools=[TOOL | {"description": "F.", "strict": True}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "adaptive"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "user-1", "other": 1},
        service_tier="standard_only",
        stream=True,
    )
    assert request.model_dump(exclude_unset=True, exclude_none=True) == {
        "model": "echo",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop": ["END", "\n\nHuman:"],
        "early_usage": True,
        "text": {
            "format": {"type": "json_schema", "name": "output", "schema": schema, "strict": True}
        },
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "F.",
                "parameters": {"type": "object"},
                "strict": True,
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high"},
        "store": False,
        "metadata": {"user_id": "user-1"},
        "service_tier": "default",
    }


@pytest.mark.parametrize(
    "name",
    sorted(
        CreateMessage.model_fields.keys() - REQUEST.keys()
        | HINTS
        | UNSERVED.keys()
        | {"a_future_field"}
    ),
)
def test_request_takes_null_for_each_optional_field(name: str) -> None:
    assert translated(**{name: None}) == translated()


@pytest.mark.parametrize("name", sorted(UNSERVED))
def test_request_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(**{name: {"type": "x"}})
    assert (error.code, error.param, error.status) == ("unsupported_parameter", name, 400)
    assert error.message.startswith(f"Unsupported parameter: '{name}'. ")


def test_request_with_an_unknown_field_is_refused_by_name() -> None:
    assert refused(betas=["x"]).param == "betas"
    assert len(refused(**{"x" * 1000: 1}).message) < 200


def test_request_may_say_that_it_wants_nothing_special() -> None:
    keep = {"type": "clear_thinking_20251015", "keep": "all"}
    request = translated(
        stop_sequences=[],
        mcp_servers=[],
        speed="standard",
        context_management={"edits": [keep]},
        diagnostics={"previous_message_id": None},
        thinking={"type": "enabled", "budget_tokens": 1024},
        tools=[TOOL | {"type": "custom", "eager_input_streaming": True, "defer_loading": False}],
    )
    assert request == translated(tools=[TOOL])


def test_request_to_shorten_its_context_is_refused() -> None:
    edits = [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]
    assert refused(context_management={"edits": edits}).param == "context_management"


@pytest.mark.parametrize("content", [[], [{"type": "thinking", "thinking": "", "signature": ""}]])
def test_request_without_any_content_is_refused(content: Any) -> None:
    error = refused(messages=[{"role": "user", "content": content}])
    assert (error.param, error.status) == ("messages", 400)


def test_request_may_have_a_thousand_tools() -> None:
    tools = [TOOL | {"name": f"f{number}"} for number in range(1_024)]
    assert len(translated(tools=tools).tools or ()) == 1_024
    assert refused(tools=[TOOL] * 1_025).param == "tools"


@pytest.mark.parametrize("name", sorted(UNSERVED_IN_TOOLS))
def test_tool_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(tools=[TOOL, TOOL | {name: ["x"]}])
    assert (error.code, error.param) == ("unsupported_parameter", f"tools.1.{name}")
    assert translated(tools=[TOOL | {name: None}])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [USER | {"role": "robot"}]}, "messages.0.role"),
        ({"messages": [USER, {"role": "assistant", "content": "So"}]}, "messages.1"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"system": "x" * (MAX_INPUT_CHARACTERS + 1)}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "any"}, "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "f"}, "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}, "tools": [TOOL]}, "tool_choice.name"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget"),
        ({"metadata": {"user_id": "x" * 513}}, "metadata.user_id"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"name": "f g", "input_schema": {}}]}, "tools.0.name"),
        ({"tools": [TOOL, {"name": "g"}]}, "tools.1.input_schema"),
    ],
)
def test_request_is_refused_by_the_name_of_its_field(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert (error.param, error.status) == (param, 400)
    assert f"'{param}'" in error.message


def test_request_with_a_schema_that_is_too_large_is_refused_by_its_place() -> None:
    schema = {"pattern": "a" * 2_001}
    error = refused(tools=[TOOL, TOOL | {"input_schema": schema}])
    assert (error.param or "").startswith("tools.1.input_schema")
    error = refused(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert (error.param or "").startswith("output_config.format.schema")


def test_request_does_not_depend_on_marks_of_caches_or_the_billing_header() -> None:
    def claude_code(number: int, *, marked: int) -> ViewRequest:
        marks = [MARK if place == marked else {} for place in range(5)]
        billing = f"x-anthropic-billing-header: cc_version=2.{number}; cch=0{number}a;"
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"} | marks[3]
        call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
        return translated(
            system=[text(billing), text("You are Claude Code."), text("Rules.", **marks[0])],
            messages=[
                {"role": "user", "content": [text("hi", **marks[1])] if marks[1] else "hi"},
                {"role": "assistant", "content": [call | marks[2]]},
                {"role": "user", "content": [result, text("and?", **marks[4])]},
            ],
            tools=[TOOL | marks[0]],
            **({} if marked % 2 else MARK),
        )

    requests = [claude_code(number, marked=number) for number in range(5)]
    assert requests[0].instructions == "You are Claude Code.\nRules."
    assert requests[1:] == requests[:1] * 4


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "adaptive"}, True),
        ({"type": "between_tools"}, True),
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
    ],
)
def test_request_shows_thinking_if_it_asks_for_it(thinking: Any, shown: bool) -> None:
    assert parse_message(REQUEST | {"thinking": thinking}).shows_thinking is shown
