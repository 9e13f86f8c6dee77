from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.tools import INPUT, model_name
from worker.engines.protocol import ModelInfo, ToolSpec
from worker.pipeline.tools import check_choice, shown_tools

MODEL = ModelInfo("m", context_window=10, max_output_tokens=10)


def a_tool(name: str, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"description": None, "parameters": {}, "strict": True}
    return {"type": "function", "name": name, **given, **fields}


TOOLS = [
    a_tool("f"), a_tool("g"), {"type": "web_search"},
    {"type": "custom", "name": "h", "description": "free"},
    {"type": "namespace", "name": "n", "tools": [a_tool("i")]},
]  # fmt: skip
INNER = model_name("i", "n")
ALL = ["f", "g", "h", INNER]
NAMED = {"type": "function", "name": "g"}
ALLOWED = {
    "type": "allowed_tools",
    "mode": "auto",
    "tools": [NAMED, {"type": "namespace", "name": "n"}],
}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ALL),
        ("required", ALL),
        ("none", []),
        (NAMED, ["g"]),
        ({"type": "custom", "name": "h"}, ["h"]),
        (ALLOWED, ["g", INNER]),
        (ALLOWED | {"mode": "required"}, ["g", INNER]),
    ],
    ids=["auto", "required", "none", "named", "custom", "allowed", "allowed-required"],
)
def test_shown_tools_are_the_functions_that_may_be_called(choice: Any, names: list[str]) -> None:
    shown = shown_tools({"tools": TOOLS, "tool_choice": choice})
    assert [tool.name for tool in shown] == names


def test_shown_tools_have_all_that_the_model_needs() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tool = a_tool("f", description="does it", parameters=schema, strict=False)
    response = {"tools": [tool, a_tool("g"), TOOLS[3]], "tool_choice": "auto"}
    described, plain, custom = shown_tools(response)
    assert described == ToolSpec("f", "does it", schema, strict=False)
    assert plain == ToolSpec("g", strict=True)
    assert (custom.name, custom.description) == ("h", "free")
    assert list(custom.parameters["properties"]) == [INPUT]


@pytest.mark.parametrize(
    ("choice", "refused"),
    [
        ("auto", False),
        ("none", False),
        (ALLOWED, False),
        ("required", True),
        (NAMED, True),
        (ALLOWED | {"mode": "required"}, True),
    ],
    ids=["auto", "none", "allowed", "required", "named", "allowed-required"],
)
def test_check_choice_refuses_what_a_model_without_calls_cannot_do(
    choice: Any, *, refused: bool
) -> None:
    response = {"tools": TOOLS, "tool_choice": choice}
    check_choice(response, ModelInfo("m", 10, 10, call_format="hermes"))
    if not refused:
        check_choice(response, MODEL)
        return
    with pytest.raises(RequestError, match="'m' calls no tools") as error:
        check_choice(response, MODEL)
    assert error.value.param == "tool_choice"
