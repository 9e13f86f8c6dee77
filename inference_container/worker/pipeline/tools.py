"""The tools that a request shows to the model."""

from collections.abc import Mapping
from typing import Any

from axon.exceptions import RequestError
from worker.engines.protocol import ModelInfo, ToolSpec


def shown_tools(response: Mapping[str, Any]) -> list[ToolSpec]:
    """Return the functions that the model may call, as the request's `tool_choice` narrows them.

    None for `none`: a model that saw them could call one, and nothing would read the call.

    Parameters
    ----------
    response : Mapping[str, Any]
        The response object as created.
    """
    choice = response.get("tool_choice") or "auto"
    tools = [tool for tool in response.get("tools") or () if tool["type"] == "function"]
    if (names := _names(choice)) is not None:
        tools = [tool for tool in tools if tool["name"] in names]
    return [
        ToolSpec(
            name=tool["name"],
            description=tool.get("description"),
            parameters=tool.get("parameters") or {},
            strict=tool.get("strict") is True,
        )
        for tool in tools
    ]


def check_choice(response: Mapping[str, Any], model: ModelInfo) -> None:
    """Refuse a request that requires a call of a model that is shown no tools.

    Parameters
    ----------
    response : Mapping[str, Any]
        The response object as created.
    model : ModelInfo
        The model that is to answer.

    Raises
    ------
    RequestError
        The model is to call a tool, and its setting `call_format` is `none`.
    """
    choice = response.get("tool_choice") or "auto"
    if model.call_format is None and _requires_call(choice):
        raise RequestError(
            f"Invalid 'tool_choice': the model '{model.id}' calls no tools. Use 'auto' or 'none', "
            "or another model.",
            code="invalid_value",
            param="tool_choice",
        )


def _names(choice: str | Mapping[str, Any]) -> set[str] | None:
    """Return the names of the tools that a choice leaves; None if it leaves all."""
    if choice == "none":
        return set()
    if isinstance(choice, str):
        return None
    if choice.get("type") == "allowed_tools":
        return {tool["name"] for tool in choice["tools"] if tool.get("name")}
    return {choice["name"]} if choice.get("name") else None


def _requires_call(choice: str | Mapping[str, Any]) -> bool:
    if isinstance(choice, str):
        return choice == "required"
    return choice.get("type") != "allowed_tools" or choice.get("mode") == "required"
