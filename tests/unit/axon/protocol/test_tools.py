"""Tools of a request: what the response shows of them, and what a model sees."""

from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.objects import Json, response_object
from axon.protocol.requests import parse_body
from axon.protocol.tools import OfferedTool, offered_tools

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION: Json = {"type": "function", "name": "look_up", "parameters": SCHEMA}
CUSTOM: Json = {"type": "custom", "name": "patch", "description": "Edits files."}
NAMESPACE: Json = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers.",
    "tools": [{"type": "function", "name": "find", "strict": True}, CUSTOM],
}
TOOLS = [FUNCTION, CUSTOM, NAMESPACE]


def created(**fields: Any) -> Json:
    request = parse_body({"model": "echo", "input": "hi", "tools": TOOLS} | fields)
    return response_object(request, response_id="resp_1", created_at=0)


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        created(**fields)
    return caught.value


def names(**fields: Any) -> list[str]:
    return [tool.name for tool in offered_tools(created(**fields))]


def test_response_shows_custom_tools_and_namespaces_as_they_were_sent() -> None:
    function = FUNCTION | {"description": None, "strict": True}
    assert created()["tools"] == [function, CUSTOM, NAMESPACE]


def test_model_sees_each_tool_as_a_function() -> None:
    text = offered_tools(created())[1].parameters
    assert text["required"] == ["input"]
    assert offered_tools(created()) == [
        OfferedTool(name="look_up", tool="look_up", parameters=SCHEMA, strict=True),
        OfferedTool(
            name="patch", tool="patch", custom=True, description="Edits files.", parameters=text
        ),
        OfferedTool(name="crm__find", tool="find", namespace="crm", strict=True),
        OfferedTool(
            name="crm__patch",
            tool="patch",
            namespace="crm",
            custom=True,
            description="Edits files.",
            parameters=text,
        ),
    ]


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        ([{"type": "function", "name": "look_up"}], ["look_up"]),
        ([{"type": "custom", "name": "patch"}], ["patch"]),
        ([{"type": "namespace", "name": "crm"}], ["crm__find", "crm__patch"]),
        ([{"type": "function", "name": "find", "namespace": "crm"}], ["crm__find"]),
    ],
)
def test_model_sees_the_allowed_tools_alone(allowed: list[Json], seen: list[str]) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    assert created(tool_choice=choice)["tool_choice"] == choice
    assert names(tool_choice=choice) == seen


def test_model_sees_no_tool_if_none_is_to_be_called() -> None:
    assert names(tool_choice="none") == []
    assert names(tool_choice="auto") == names() != []


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([CUSTOM | {"format": {"type": "grammar", "syntax": "lark"}}], "tools.0.format.type"),
        (
            [NAMESPACE | {"tools": [CUSTOM | {"format": {"type": "grammar"}}]}],
            "tools.0.tools.0.format.type",
        ),
        ([CUSTOM | {"name": "a b"}], "tools.0.name"),
        ([CUSTOM | {"defer_loading": True}], "tools.0.defer_loading"),
        ([NAMESPACE | {"tools": [FUNCTION | {"async": True}]}], "tools.0.tools.0.async"),
        ([NAMESPACE | {"tools": [{"type": "web_search"}]}], "tools.0.tools.0"),
        ([NAMESPACE | {"tools": [NAMESPACE]}], "tools.0.tools.0"),
        (
            [NAMESPACE | {"tools": [FUNCTION | {"parameters": {"pattern": "(" * 3_000}}]}],
            "tools.0.tools.0.parameters.pattern",
        ),
        ([NAMESPACE | {"tools": [FUNCTION] * 65}] * 2, "tools"),
        ([FUNCTION, CUSTOM | {"name": "look_up"}], "tools"),
        ([NAMESPACE, FUNCTION | {"name": "crm__find"}], "tools"),
    ],
)
def test_request_with_a_wrong_tool_is_refused_by_its_place(tools: list[Json], param: str) -> None:
    error = refused(tools=tools)
    assert error.param == param
    assert len(error.message) < 400
