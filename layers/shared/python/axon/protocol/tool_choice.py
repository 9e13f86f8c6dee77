"""The choice of tools: which ones the model may call, and whether it must."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from axon.exceptions import RequestError
from axon.protocol.tools import OPENAI_TOOLS, NamespaceTool

ENFORCED: frozenset[Literal["required", "named"]] = frozenset()
"""The choices that make the model call a tool, of those that engines can hold it to: none, until
answers are constrained by grammars. What is not here is refused."""
_NOT_ENFORCED = (
    "Use 'auto', and say in the instructions when the tool is to be called: no engine can make "
    "its model call one."
)
CHOICE_REMEDY = (
    "Use 'auto', 'none' or 'allowed_tools': a choice names a tool of the types 'function' and "
    "'custom' only."
)
Name = Annotated[str, Field(min_length=1, max_length=128)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class NamedTool(_Model):
    """The one tool that the model must call."""

    type: Literal["function", "custom"]
    name: Name


class AllowedTool(_Model):
    """A tool that the model may call; of a namespace, one of its tools or all."""

    type: Literal["function", "custom", "namespace"]
    name: Name
    namespace: Name | None = None


class AllowedTools(_Model):
    """Some of the request's tools: the model sees no others."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[AllowedTool], Field(min_length=1, max_length=OPENAI_TOOLS)]


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "[mode]"
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return {"function": "[named]", "custom": "[named]"}.get(str(kind), f"[{kind}]")


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("[mode]")]
    | Annotated[NamedTool, Tag("[named]")]
    | Annotated[AllowedTools, Tag("[allowed_tools]")],
    Discriminator(_kind, custom_error_type="no_choice", custom_error_message=CHOICE_REMEDY),
]


def check_tool_choice(
    choice: str | NamedTool | AllowedTools | None,
    tools: Sequence[Any],
    *,
    enforced: Collection[str] = ENFORCED,
) -> None:
    """Check that a choice names tools of the request, and that it can be kept.

    Parameters
    ----------
    choice : str | NamedTool | AllowedTools | None
        The choice (`ToolChoice`); None is `auto`.
    tools : Sequence[Any]
        The request's tools.
    enforced : Collection[str]
        The choices that the engines can hold a model to, as in `ENFORCED`.

    Raises
    ------
    RequestError
        It does not, or cannot.
    """
    if choice in (None, "auto", "none"):
        return
    names = _names(tools)
    if not names:
        raise _refusal("needs tools that can be called, and the request has none. Send 'tools'")
    for kind, namespace, name in _named(choice):
        if (kind, namespace, name) not in names:
            inside = f" in the namespace '{namespace}'" if namespace else ""
            raise _refusal(f"names the {kind} '{name}'{inside}, which is not in 'tools'. Add it")
    forced = "named" if isinstance(choice, NamedTool) else _mode(choice)
    if forced != "auto" and forced not in enforced:
        raise RequestError(
            f"Unsupported value for 'tool_choice'. {_NOT_ENFORCED}",
            code="unsupported_parameter",
            param="tool_choice",
        )


def _mode(choice: Any) -> str:
    return choice.mode if isinstance(choice, AllowedTools) else str(choice)


def _named(choice: Any) -> list[tuple[str, str | None, str]]:
    match choice:
        case NamedTool():
            return [(choice.type, None, choice.name)]
        case AllowedTools():
            return [(tool.type, tool.namespace, tool.name) for tool in choice.tools]
    return []


def _names(tools: Sequence[Any]) -> Mapping[tuple[str, str | None, str], Any]:
    names: dict[tuple[str, str | None, str], Any] = {}
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            names |= {(inner.type, tool.name, inner.name): inner for inner in tool.tools}
        if tool.type in ("function", "custom", "namespace"):
            names[tool.type, None, tool.name] = tool
    return names


def _refusal(what: str) -> RequestError:
    return RequestError(
        f"Invalid 'tool_choice': it {what}.", code="invalid_value", param="tool_choice"
    )
