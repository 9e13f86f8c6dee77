"""Tools of a Chat Completions request and their choice, and the same of a Responses request."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from axon.protocol.chat.messages import ChatModel, tag_of
from axon.protocol.schemas import check_tool_schema
from axon.protocol.tool_choice import (
    CHOICE_REMEDY,
    AllowedTool,
    AllowedTools,
    Name,
    NamedTool,
    ToolChoice,
)
from axon.protocol.tools import (
    FORMAT_REMEDY,
    OPENAI_TOOLS,
    CustomTool,
    FunctionName,
    FunctionTool,
)

TOOL_REMEDIES = {
    "tool_choice": CHOICE_REMEDY,
    "tools.*": "Use the types 'function' and 'custom': other tools are not served.",
    "tools.*.custom.format.type": FORMAT_REMEDY,
}
"""The remedy for each value that is not served, by its path."""


class FunctionDefinition(ChatModel):
    """A function that the model may ask the client to call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionOfClient(ChatModel):
    """A tool that is a function."""

    type: Literal["function"]
    function: FunctionDefinition


class AnyText(ChatModel):
    """Any text, as the input of a custom tool."""

    type: Literal["text"]


class CustomDefinition(ChatModel):
    """A tool of the client whose input is a text."""

    name: FunctionName
    description: str | None = None
    format: AnyText | None = None


class CustomOfClient(ChatModel):
    """A tool that takes a text."""

    type: Literal["custom"]
    custom: CustomDefinition


ChatTool = Annotated[
    Annotated[FunctionOfClient, Tag("[function]")] | Annotated[CustomOfClient, Tag("[custom]")],
    Discriminator(lambda value: tag_of(value, "type")),
]


class NamedOfClient(ChatModel):
    """The name of a tool."""

    name: Name


class ChosenFunction(ChatModel):
    """A function that is chosen."""

    type: Literal["function"]
    function: NamedOfClient

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name


class ChosenCustom(ChatModel):
    """A custom tool that is chosen."""

    type: Literal["custom"]
    custom: NamedOfClient

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.custom.name


_Chosen = Annotated[
    Annotated[ChosenFunction, Tag("[function]")] | Annotated[ChosenCustom, Tag("[custom]")],
    Discriminator(lambda value: tag_of(value, "type")),
]


class Allowed(ChatModel):
    """Some of the request's tools."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[_Chosen], Field(min_length=1, max_length=OPENAI_TOOLS)]


class ChosenTools(ChatModel):
    """The tools that the model may call; it sees no others."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed


def _kind(value: Any) -> str | None:
    return "[mode]" if isinstance(value, str) else tag_of(value, "type")


ChatToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("[mode]")]
    | Annotated[ChosenFunction, Tag("[function]")]
    | Annotated[ChosenCustom, Tag("[custom]")]
    | Annotated[ChosenTools, Tag("[allowed_tools]")],
    Discriminator(_kind),
]


def tool_of(tool: FunctionOfClient | CustomOfClient) -> FunctionTool | CustomTool:
    """Return the tool of a Responses request."""
    if isinstance(tool, CustomOfClient):
        custom = tool.custom
        return CustomTool(type="custom", name=custom.name, description=custom.description)
    function = tool.function
    return FunctionTool(
        type="function",
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        # Responses have strict functions by default, this API has not.
        strict=function.strict is True,
    )


def choice_of(
    choice: str | ChosenFunction | ChosenCustom | ChosenTools | None,
) -> ToolChoice | None:
    """Return the choice of a Responses request."""
    match choice:
        case ChosenFunction() | ChosenCustom():
            return NamedTool(type=choice.type, name=choice.name)
        case ChosenTools(allowed_tools=allowed):
            tools = [AllowedTool(type=tool.type, name=tool.name) for tool in allowed.tools]
            return AllowedTools(type="allowed_tools", mode=allowed.mode, tools=tools)
        case "none" | "auto" | "required" | None:
            return choice
    raise ValueError(f"unknown choice: {choice!r}")


def check_tool_schemas(tools: Sequence[FunctionOfClient | CustomOfClient]) -> None:
    """Check the schemas of functions.

    Parameters
    ----------
    tools : Sequence[FunctionOfClient | CustomOfClient]
        The request's tools.

    Raises
    ------
    RequestError
        One is out of bounds (`axon.protocol.schemas`).
    """
    for number, tool in enumerate(tools):
        if isinstance(tool, FunctionOfClient):
            check_tool_schema(
                tool.function.parameters or {},
                owner=f"function '{tool.function.name}'",
                param=f"tools.{number}.function.parameters",
            )
