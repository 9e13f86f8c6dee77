"""The tools that a request shows to the model."""

from collections.abc import Mapping
from typing import Any

from axon.exceptions import RequestError
from axon.protocol.tools import offered_tools
from worker.engines.protocol import ModelInfo, ToolSpec


def shown_tools(response: Mapping[str, Any]) -> list[ToolSpec]:
    """Return the functions that the model may call, as the request's `tool_choice` narrows them.

    None for `none`: a model that saw them could call one, and nothing would read the call. A named
    tool is shown alone.

    Parameters
    ----------
    response : Mapping[str, Any]
        The response object as created.
    """
    choice = response["tool_choice"]
    named = choice["name"] if _names_one(choice) else None
    return [
        ToolSpec(tool.name, tool.description, tool.parameters, strict=tool.strict)
        for tool in offered_tools(response)
        if named in (None, tool.tool)
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
    choice = response["tool_choice"]
    if model.call_format is None and (
        choice == "required" or _names_one(choice) or _mode(choice) == "required"
    ):
        raise RequestError(
            f"Invalid 'tool_choice': the model '{model.id}' calls no tools. Use 'auto' or 'none', "
            "or another model.",
            code="invalid_value",
            param="tool_choice",
        )


def _names_one(choice: str | Mapping[str, Any]) -> bool:
    return not isinstance(choice, str) and choice["type"] != "allowed_tools"


def _mode(choice: str | Mapping[str, Any]) -> object:
    return choice if isinstance(choice, str) else choice.get("mode")
