"""The choice of tools in all three APIs: it names tools of the request, and is kept or refused."""

from collections.abc import Callable
from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic import request as messages
from axon.protocol.chat import request as completions
from axon.protocol.requests import CreateResponse, parse_body
from axon.protocol.tool_choice import AllowedTool, AllowedTools, NamedTool, check_tool_choice
from axon.protocol.tools import FunctionTool

USER = {"role": "user", "content": "hi"}
FUNCTION = {"type": "function", "name": "f"}


def over_responses(tools: list[str], choice: Any) -> CreateResponse:
    offered = [{"type": "function", "name": name} for name in tools]
    return parse_body({"model": "echo", "input": "hi", "tools": offered, "tool_choice": choice})


def over_chat(tools: list[str], choice: Any) -> CreateResponse:
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    body = {"model": "echo", "messages": [USER], "tools": offered, "tool_choice": choice}
    return completions.to_create_response(completions.parse_chat(body))


def over_messages(tools: list[str], choice: Any) -> CreateResponse:
    offered = [{"name": name, "input_schema": {}} for name in tools]
    body = {"model": "echo", "max_tokens": 9, "messages": [USER], "tools": offered}
    return messages.to_create_response(messages.parse_message(body | {"tool_choice": choice}))


ALLOWED = AllowedTools(
    type="allowed_tools", mode="auto", tools=[AllowedTool(type="function", name="f")]
)


@pytest.mark.parametrize(
    ("ask", "choice", "said"),
    [
        (over_responses, None, None),
        (over_responses, "auto", "auto"),
        (over_responses, "none", "none"),
        (
            over_responses,
            {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]},
            ALLOWED,
        ),
        (over_chat, "auto", "auto"),
        (over_chat, "none", "none"),
        (
            over_chat,
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            ALLOWED,
        ),
        (over_messages, {"type": "auto"}, "auto"),
        (over_messages, {"type": "none"}, "none"),
    ],
)
def test_choice_that_leaves_it_to_the_model_is_taken(
    ask: Callable[..., CreateResponse], choice: Any, said: Any
) -> None:
    assert ask(["f", "g"], choice).tool_choice == said


FORCED: list[tuple[Callable[..., CreateResponse], Any]] = [
    (over_responses, "required"),
    (over_responses, FUNCTION),
    (over_responses, {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]}),
    (over_chat, "required"),
    (over_chat, {"type": "function", "function": {"name": "f"}}),
    (over_messages, {"type": "any"}),
    (over_messages, {"type": "tool", "name": "f"}),
]


@pytest.mark.parametrize(("ask", "choice"), FORCED)
def test_choice_that_no_engine_can_keep_is_refused_with_a_remedy(
    ask: Callable[..., CreateResponse], choice: Any
) -> None:
    with pytest.raises(RequestError, match="Use 'auto'") as caught:
        ask(["f"], choice)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tool_choice")


@pytest.mark.parametrize(
    ("ask", "choice", "tools"),
    [
        *((ask, choice, []) for ask, choice in FORCED),
        *((ask, choice, ["g"]) for ask, choice in FORCED if "'f'" in str(choice)),
    ],
)
def test_choice_of_what_is_not_offered_is_refused_by_its_name(
    ask: Callable[..., CreateResponse], choice: Any, tools: list[str]
) -> None:
    with pytest.raises(RequestError) as caught:
        ask(tools, choice)
    assert (caught.value.code, caught.value.param) == ("invalid_value", "tool_choice")
    assert ("'f'" in caught.value.message) == bool(tools)


def test_choice_is_kept_where_engines_can() -> None:
    tools = [FunctionTool(type="function", name="f")]
    required, named = "required", NamedTool(type="function", name="f")
    check_tool_choice(required, tools, enforced={"required"})
    check_tool_choice(named, tools, enforced={"named"})
    with pytest.raises(RequestError):
        check_tool_choice(named, tools, enforced={"required"})


@pytest.mark.parametrize(
    ("ask", "choice"),
    [
        (over_responses, "always"),
        (over_responses, {"type": "web_search_preview"}),
        (over_responses, {"type": "allowed_tools", "mode": "auto", "tools": []}),
        (over_chat, "always"),
        (over_chat, {"type": "function", "name": "f"}),
        (over_messages, "auto"),
        (over_messages, {"type": "function"}),
        (over_messages, {"type": "tool"}),
    ],
)
def test_choice_of_another_shape_is_refused(
    ask: Callable[..., CreateResponse], choice: Any
) -> None:
    with pytest.raises(RequestError) as caught:
        ask(["f"], choice)
    assert (caught.value.param or "").startswith("tool_choice")
