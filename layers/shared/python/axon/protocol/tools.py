"""Tools of a request, by kind, and the functions that stand for them before a model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from axon.exceptions import RequestError
from axon.protocol.schemas import check_tool_schema

MAX_TOOLS = 1_024
"""Most tools of a request, in any API."""
OPENAI_TOOLS = 128
"""Most tools of a request of OpenAI's APIs (OpenAI's limit), those in namespaces among them."""
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
NAMESPACE_SEPARATOR = "__"
"""Stands between a namespace and the name of its tool in the name that the model sees."""
INPUT = "input"
"""The one argument of the function that stands for a custom tool: its text."""
_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The whole input of the tool."}},
    "required": [INPUT],
    "additionalProperties": False,
}
FORMAT_REMEDY = (
    "Leave it out, and describe the text in `description`: no grammar is enforced. A function's "
    "`parameters` can say more."
)
TOOL_REMEDIES = {
    "tools.*.format.type": FORMAT_REMEDY,
    "tools.*.tools.*.format.type": FORMAT_REMEDY,
}
"""The remedy for each value that is not served, by its path."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class FunctionTool(_Model):
    """A function that the model may ask the client to call."""

    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FreeText(_Model):
    """Any text, as the input of a custom tool."""

    type: Literal["text"]


class CustomTool(_Model):
    """A tool of the client whose input is a text, where a function's is JSON."""

    type: Literal["custom"]
    name: FunctionName
    description: str | None = None
    format: FreeText | None = None


class OtherTool(_Model):
    """A tool of another kind: refused by its name, or shown to no model by a setting."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1, max_length=64)]


def _kind(value: Any, *known: str) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if isinstance(kind, str):
        return f"[{kind}]" if kind in known else "[other]"
    return "[other]" if isinstance(value, dict) else None  # so that a missing type is named


_CLIENT = ("function", "custom")
_Member = Annotated[
    Annotated[FunctionTool, Tag("[function]")] | Annotated[CustomTool, Tag("[custom]")],
    Discriminator(
        lambda value: kind if (kind := _kind(value, *_CLIENT)) != "[other]" else None,
        custom_error_type="unsupported_tool",
        custom_error_message="a namespace may have tools of the types 'function' and 'custom' only",
    ),
]


class NamespaceTool(_Model):
    """Tools of the client under a common name."""

    type: Literal["namespace"]
    name: FunctionName
    description: str | None = None
    tools: Annotated[list[_Member], Field(max_length=OPENAI_TOOLS)]


Tool = Annotated[
    Annotated[FunctionTool, Tag("[function]")]
    | Annotated[CustomTool, Tag("[custom]")]
    | Annotated[NamespaceTool, Tag("[namespace]")]
    | Annotated[SkipJsonSchema[OtherTool], Tag("[other]")],
    Discriminator(
        lambda value: _kind(value, *_CLIENT, "namespace"),
        custom_error_type="no_tool",
        custom_error_message="must be an object with a type",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool as a model sees it, which knows functions alone.

    Parameters
    ----------
    name : str
        The function's name for the model: with its namespace, if it has one.
    tool : str
        The tool's own name.
    namespace : str | None
        The namespace that it belongs to.
    custom : bool
        The tool is a custom one: its text is the argument `INPUT` of the function.
    description : str | None
        The tool's description.
    parameters : Mapping[str, Any]
        JSON schema of the arguments; empty if there is none.
    strict : bool
        True if the request wants the arguments to be valid by the schema.
    """

    name: str
    tool: str
    namespace: str | None = None
    custom: bool = False
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


def model_name(tool: str, namespace: str | None) -> str:
    """Return the name by which a model sees a tool."""
    return tool if namespace is None else f"{namespace}{NAMESPACE_SEPARATOR}{tool}"


def offered_tools(response: Mapping[str, Any]) -> list[OfferedTool]:
    """Return the tools that a model may call, by the response as it was created.

    There are none if the choice is `none`, and those that it names alone if it is `allowed_tools`.
    Tools of other kinds, which a setting lets pass, are shown to no model.
    """
    choice = response["tool_choice"]
    if choice == "none":
        return []
    offered = list(_offered(response["tools"]))
    if not isinstance(choice, dict) or choice["type"] != "allowed_tools":
        return offered
    allowed = {(tool["type"], tool.get("namespace"), tool.get("name")) for tool in choice["tools"]}
    return [tool for tool in offered if _keys(tool) & allowed]


def check_tools(tools: Sequence[Any], *, schema_of: str = "parameters") -> None:
    """Check what the models of tools do not: number, names and schemas.

    Parameters
    ----------
    tools : Sequence[Any]
        The tools (`Tool`).
    schema_of : str
        Path of the schema in a function, for the error.

    Raises
    ------
    RequestError
        There are too many, two have one name before the model, or a schema is out of bounds.
    """
    count = sum(len(tool.tools) if isinstance(tool, NamespaceTool) else 1 for tool in tools)
    if count > OPENAI_TOOLS:
        raise RequestError(
            f"'tools' is too long: {count:,} tools, {OPENAI_TOOLS} at most. Shorten it.",
            code="array_above_max_length",
            param="tools",
        )
    for path, function in _functions(tools):
        check_tool_schema(
            function.parameters or {},
            owner=f"function '{function.name}'",
            param=f"{path}.{schema_of}",
        )
    _check_names(tools)


def _check_names(tools: Sequence[Any]) -> None:
    """Refuse tools of two kinds, or of two namespaces, that a model could not tell apart.

    Functions may have one name, as ever: a call of either is the same call.
    """
    seen: dict[str, OfferedTool] = {}
    for tool in _offered([tool.model_dump() for tool in tools]):
        other = seen.setdefault(tool.name, tool)
        if (other.tool, other.namespace, other.custom) != (tool.tool, tool.namespace, tool.custom):
            raise RequestError(
                f"Invalid 'tools': two of them are '{tool.name}' for the model, and are of "
                "different types or namespaces. Rename one.",
                code="invalid_value",
                param="tools",
            )


def _keys(tool: OfferedTool) -> set[tuple[str, str | None, str | None]]:
    """Return the names by which a choice allows a tool: its own, or that of its namespace."""
    kind = "custom" if tool.custom else "function"
    keys: set[tuple[str, str | None, str | None]] = {(kind, tool.namespace, tool.tool)}
    return keys if tool.namespace is None else keys | {("namespace", None, tool.namespace)}


def _offered(tools: Sequence[Mapping[str, Any]]) -> Iterator[OfferedTool]:
    for tool in tools:
        if tool["type"] == "namespace":
            yield from (_offer(inner, tool["name"]) for inner in tool["tools"])
        elif tool["type"] in _CLIENT:
            yield _offer(tool, None)


def _offer(tool: Mapping[str, Any], namespace: str | None) -> OfferedTool:
    custom = tool["type"] == "custom"
    return OfferedTool(
        name=model_name(tool["name"], namespace),
        tool=tool["name"],
        namespace=namespace,
        custom=custom,
        description=tool.get("description"),
        parameters=_INPUT_SCHEMA if custom else tool.get("parameters") or {},
        strict=tool.get("strict") is True,
    )


def _functions(tools: Sequence[Any]) -> Iterator[tuple[str, FunctionTool]]:
    for number, tool in enumerate(tools):
        if isinstance(tool, FunctionTool):
            yield f"tools.{number}", tool
        elif isinstance(tool, NamespaceTool):
            for place, inner in enumerate(tool.tools):
                if isinstance(inner, FunctionTool):
                    yield f"tools.{number}.tools.{place}", inner
