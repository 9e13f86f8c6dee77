"""Messages of a Chat Completions request, and their translation to Responses items."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from axon.exceptions import RequestError
from axon.protocol.items import (
    FAIL_FAST,
    TEXT_OR_LIST,
    CalledName,
    CallId,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    RefusalContent,
    TextContent,
    null_is,
    reasoning_of,
)

Role = Literal["system", "developer", "user", "assistant", "tool"]


class ChatModel(BaseModel):
    """Base of a request's parts.

    Fields that a model does not name are taken and change nothing: `name` of a message, which no
    chat template shows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class TextPart(ChatModel):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


class RefusalPart(ChatModel):
    """A refusal in an earlier answer."""

    type: Literal["refusal"]
    refusal: str


def tag_of(value: Any, field: str) -> str | None:
    """Return the tag of the union's member that a field of the value names."""
    name = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
    return f"[{name}]" if isinstance(name, str) else None


def _given(value: Any) -> dict[str, Any]:
    """Return the type of a call, if it has one."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return {} if kind is None else {"type": kind}


Part = Annotated[
    Annotated[TextPart, Tag("[text]")] | Annotated[RefusalPart, Tag("[refusal]")],
    Discriminator(
        lambda value: tag_of(value, "type"),
        custom_error_type="unsupported_content",
        custom_error_message=(
            "only parts of the type 'text' are supported, and 'refusal' in an assistant's message; "
            "leave out images, audio and files"
        ),
    ),
]
Content = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[list[Part], FAIL_FAST, Tag("[list]")],
    TEXT_OR_LIST,
]


class CalledFunction(ChatModel):
    """The function that an earlier answer called."""

    name: CalledName
    arguments: str


class ToolCall(ChatModel):
    """A call of a function that an earlier answer asked for."""

    type: Annotated[Literal["function"], null_is("function")] = "function"
    id: CallId
    function: CalledFunction


class CalledTool(ChatModel):
    """The custom tool that an earlier answer called."""

    name: CalledName
    input: str


class CustomCall(ChatModel):
    """A call of a custom tool that an earlier answer asked for."""

    type: Literal["custom"]
    id: CallId
    custom: CalledTool


AnyCall = Annotated[
    Annotated[ToolCall, Tag("[function]")] | Annotated[CustomCall, Tag("[custom]")],
    Discriminator(
        # One without a type is of a function, as all were once.
        lambda value: tag_of({"type": "function"} | _given(value), "type"),
    ),
]


class InputMessage(ChatModel):
    """A message of the user or the application."""

    role: Literal["system", "developer", "user"]
    content: Content


class AssistantMessage(ChatModel):
    """An earlier answer: reasoning, text, a refusal, or calls of tools.

    `reasoning` is the name that vLLM has for `reasoning_content`.
    """

    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Annotated[list[AnyCall], FAIL_FAST] | None = None
    function_call: None = None
    audio: None = None
    prefix: Literal[False] | None = None


class ToolMessage(ChatModel):
    """The result of a call."""

    role: Literal["tool"]
    content: Content
    tool_call_id: CallId


ChatMessage = Annotated[
    Annotated[InputMessage, Tag("[system]")]
    | Annotated[InputMessage, Tag("[developer]")]
    | Annotated[InputMessage, Tag("[user]")]
    | Annotated[AssistantMessage, Tag("[assistant]")]
    | Annotated[ToolMessage, Tag("[tool]")],
    Discriminator(
        lambda value: tag_of(value, "role"),
        custom_error_type="unsupported_role",
        custom_error_message=(
            f"unknown role; supported are {', '.join(get_args(Role))}; "
            "the result of a function has the role 'tool'"
        ),
    ),
]


def items_of(messages: Sequence[ChatMessage]) -> list[Item]:
    """Return the input items of the Responses request that says the same.

    Raises
    ------
    RequestError
        A tool's message answers no call of an earlier message.
    """
    items: list[Item] = []
    called: dict[str, AnyCall] = {}
    for number, message in enumerate(messages):
        match message:
            case InputMessage():
                items.append(_message(message.role, message.content))
            case AssistantMessage():
                items += _answer(message)
                called |= {call.id: call for call in message.tool_calls or ()}
            case ToolMessage():
                if (call := called.get(message.tool_call_id)) is None:
                    raise _unknown_call(number, message.tool_call_id)
                items.append(_output(message, call))
    return items


def _answer(message: AssistantMessage) -> Iterator[Item]:
    """Yield the items of an earlier answer; one of calls alone has no message."""
    if reasoning := message.reasoning_content or message.reasoning:
        yield reasoning_of(reasoning)
    refusal = [RefusalPart(type="refusal", refusal=message.refusal)] if message.refusal else []
    content = message.content or ""
    if refusal:
        said = [TextPart(type="text", text=content)] if isinstance(content, str) else content
        yield _message("assistant", [*said, *refusal])
    elif content or not message.tool_calls:
        yield _message("assistant", content)
    yield from map(_call, message.tool_calls or ())


def _call(call: ToolCall | CustomCall) -> Item:
    if isinstance(call, CustomCall):
        return CustomToolCall(
            type="custom_tool_call", call_id=call.id, name=call.custom.name, input=call.custom.input
        )
    return FunctionCall(
        type="function_call",
        call_id=call.id,
        name=call.function.name,
        arguments=call.function.arguments,
    )


def _message(
    role: Literal["system", "developer", "user", "assistant"], content: Content
) -> Message:
    return Message(role=role, content=_content(content, from_model=role == "assistant"))


def _output(message: ToolMessage, call: ToolCall | CustomCall) -> Item:
    call_id, output = message.tool_call_id, _content(message.content, from_model=False)
    if isinstance(call, CustomCall):
        return CustomToolCallOutput(type="custom_tool_call_output", call_id=call_id, output=output)
    return FunctionCallOutput(type="function_call_output", call_id=call_id, output=output)


def _content(content: Content, *, from_model: bool) -> str | list[TextContent | RefusalContent]:
    if isinstance(content, str):
        return content
    return [
        TextContent(type="output_text" if from_model else "input_text", text=part.text)
        if isinstance(part, TextPart)
        else RefusalContent(type="refusal", refusal=part.refusal)
        for part in content
    ]


def _unknown_call(number: int, call_id: str) -> RequestError:
    param = f"messages.{number}.tool_call_id"
    return RequestError(
        f"Invalid '{param}': no earlier message has a tool call with the id '{call_id}'. Send the "
        "assistant's message with its `tool_calls` before the result.",
        code="tool_call_not_found",
        param=param,
    )
