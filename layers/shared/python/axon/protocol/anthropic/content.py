"""Content of a Messages request: its blocks, and the input items that they stand for."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from axon.protocol.anthropic.call_ids import call_id_of
from axon.protocol.items import (
    FAIL_FAST,
    TEXT_OR_LIST,
    CalledName,
    CallId,
    Content,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    TextContent,
    null_is,
    reasoning_of,
)
from axon.serialization import dumps

BILLING_HEADER = "x-anthropic-billing-header:"
"""Beginning of the first line of Claude Code's system prompt. The rest of the line is another one
in each request, so that nothing behind it could be found in a cache of prompts."""
ERROR_RESULT = "Error:"
"""Stands before the output of a tool that failed: chat templates have no other place for it."""


class _Block(BaseModel):
    """A block of content. `cache_control`, which every one may have, is ignored with the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class TextBlock(_Block):
    """Text of the client or of an earlier answer."""

    type: Literal["text"]
    text: str


class ThinkingBlock(_Block):
    """Thinking of an earlier answer; the model's template decides whether the model sees it again.

    Its `signature` is not looked at: a client may write any text of an earlier answer.
    """

    type: Literal["thinking"]
    thinking: Annotated[str, null_is("")] = ""


class RedactedThinkingBlock(_Block):
    """Thinking that nobody but another server can read: taken, not shown to the model."""

    type: Literal["redacted_thinking"]


class ToolUseBlock(_Block):
    """A call of a client's tool that an earlier answer asked for."""

    type: Literal["tool_use"]
    id: CallId
    name: CalledName
    input: dict[str, Any]


def _refuse_kind(kind: str) -> str:
    raise PydanticCustomError(
        "unsupported_block",
        "blocks of type '{kind}' are not served; send their content as text",
        {"kind": kind[:64]},
    )


class _OtherBlock(_Block):
    """A block that is not served: images, documents, results of server tools."""

    type: Annotated[str, AfterValidator(_refuse_kind)]


def _kind_among(*served: str) -> Discriminator:
    """Return a discriminator of blocks; those of other types are refused by their type."""

    def tag(value: Any) -> str | None:
        if isinstance(value, _Block):
            return f"[{getattr(value, 'type', None)}]"
        if not isinstance(value, dict):
            return None
        return f"[{kind}]" if (kind := value.get("type")) in served else "[other]"

    return Discriminator(
        tag, custom_error_type="no_block", custom_error_message="must be an object with a type"
    )


_Other = Annotated[SkipJsonSchema[_OtherBlock], Tag("[other]")]
_Text = Annotated[TextBlock, Tag("[text]")]
_TextOnly = Annotated[_Text | _Other, _kind_among("text")]
Texts = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[list[_TextOnly], FAIL_FAST, Tag("[list]")],
    TEXT_OR_LIST,
]


class ToolResultBlock(_Block):
    """The result of a tool's call."""

    type: Literal["tool_result"]
    tool_use_id: CallId
    content: Annotated[Texts, null_is("")] = ""
    is_error: bool | None = None


Block = Annotated[
    _Text
    | Annotated[ThinkingBlock, Tag("[thinking]")]
    | Annotated[RedactedThinkingBlock, Tag("[redacted_thinking]")]
    | Annotated[ToolUseBlock, Tag("[tool_use]")]
    | Annotated[ToolResultBlock, Tag("[tool_result]")]
    | _Other,
    _kind_among("text", "thinking", "redacted_thinking", "tool_use", "tool_result"),
]


class MessageParam(_Block):
    """One message of the conversation so far."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        Annotated[str, Tag("[text]")] | Annotated[list[Block], FAIL_FAST, Tag("[list]")],
        TEXT_OR_LIST,
    ]

    @property
    def blocks(self) -> Sequence[Block]:
        """The message's blocks; a string stands for one of text."""
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)]
        return self.content


def texts_of(content: Texts) -> list[str]:
    """Return the pieces of a text; a string is one piece."""
    if isinstance(content, str):
        return [content]
    return [block.text for block in content if isinstance(block, TextBlock)]


def instructions_of(system: Texts | None) -> str | None:
    """Return a system prompt as one text, without Claude Code's billing header.

    Pieces are joined by line breaks, as those of messages are (`axon.protocol.items.text_of`).
    """
    texts = [] if system is None else texts_of(system)
    if texts and texts[0].startswith(BILLING_HEADER):
        texts[0] = texts[0].partition("\n")[2]
    return "\n".join(text for text in texts if text) or None


def items_of(messages: Iterable[MessageParam]) -> list[Item]:
    """Return a conversation as input items.

    They depend on nothing but what the model is to see: not on whether a text came as a string or
    as a block, and not on marks of caches, which clients move from request to request.
    """
    items = _Items()
    for message in messages:
        for block in message.blocks:
            match block:
                case TextBlock():
                    items.add_text(message.role, block.text)
                case ThinkingBlock() if block.thinking:
                    items.add(reasoning_of(block.thinking))
                case ToolUseBlock():
                    arguments = dumps(block.input).decode()
                    items.add(
                        FunctionCall(
                            type="function_call",
                            call_id=call_id_of(block.id),
                            name=block.name,
                            arguments=arguments,
                        )
                    )
                case ToolResultBlock():
                    items.add(_output(block))
    return items.all()


def _output(block: ToolResultBlock) -> FunctionCallOutput:
    texts = [*([ERROR_RESULT] if block.is_error else []), *texts_of(block.content)]
    output: list[Content] = [TextContent(type="input_text", text=text) for text in texts]
    call_id = call_id_of(block.tool_use_id)
    return FunctionCallOutput(type="function_call_output", call_id=call_id, output=output)


class _Items:
    """Collects items; text that follows text of the same role joins its message.

    The API says so of messages of one role in a row, and chat templates refuse such messages.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._role: Literal["user", "assistant", "system"] = "user"
        self._texts: list[TextContent] = []

    def add_text(self, role: Literal["user", "assistant", "system"], text: str) -> None:
        if role != self._role:
            self._end_message()
        self._role = role
        kind: Literal["input_text", "output_text"] = (
            "output_text" if role == "assistant" else "input_text"
        )
        self._texts.append(TextContent(type=kind, text=text))

    def add(self, item: Item) -> None:
        self._end_message()
        self._items.append(item)

    def all(self) -> list[Item]:
        self._end_message()
        return self._items

    def _end_message(self) -> None:
        if self._texts:
            self._items.append(Message(role=self._role, content=[*self._texts]))
            self._texts.clear()
