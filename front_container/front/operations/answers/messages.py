"""Shapes of Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from front.operations.answers.errors import AnthropicError


class AnswerTextBlock(TypedDict):
    """Text of the model."""

    type: Literal["text"]
    text: str


class AnswerThinkingBlock(TypedDict):
    """The model's thinking, if the request enabled it."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnswerToolUseBlock(TypedDict):
    """A call of a tool, which the client is to answer."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


AnswerBlock = AnswerTextBlock | AnswerThinkingBlock | AnswerToolUseBlock
StopReason = Literal["end_turn", "max_tokens", "refusal", "stop_sequence", "tool_use"]


class MessageUsage(TypedDict):
    """Tokens of a request and its answer; those that a cache had are counted apart."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    service_tier: NotRequired[Literal["standard", "priority"]]


class AnthropicMessage(TypedDict):
    """A whole answer, or its beginning in a stream."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageTokens(TypedDict):
    """The tokens of a conversation."""

    input_tokens: int


class MessageStart(TypedDict):
    """The beginning of a message."""

    type: Literal["message_start"]
    message: AnthropicMessage


class Ping(TypedDict):
    """An event that says nothing but that the stream is alive."""

    type: Literal["ping"]


class ContentBlockStart(TypedDict):
    """The beginning of a block."""

    type: Literal["content_block_start"]
    index: int
    content_block: AnswerBlock


class TextDelta(TypedDict):
    """More text."""

    type: Literal["text_delta"]
    text: str


class ThinkingDelta(TypedDict):
    """More thinking."""

    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(TypedDict):
    """The signature of thinking, which comes before the block's end."""

    type: Literal["signature_delta"]
    signature: str


class InputJsonDelta(TypedDict):
    """More of a tool's input, as JSON."""

    type: Literal["input_json_delta"]
    partial_json: str


class ContentBlockDelta(TypedDict):
    """An addition to a block."""

    type: Literal["content_block_delta"]
    index: int
    delta: TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class ContentBlockStop(TypedDict):
    """The end of a block."""

    type: Literal["content_block_stop"]
    index: int


class StopDelta(TypedDict):
    """Why a message has ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(TypedDict):
    """The facts about a message that are known at its end."""

    type: Literal["message_delta"]
    delta: StopDelta
    usage: MessageUsage


class MessageStop(TypedDict):
    """The last event."""

    type: Literal["message_stop"]


MESSAGE_EVENTS: Mapping[str, Any] = {
    "message_start": MessageStart,
    "ping": Ping,
    "content_block_start": ContentBlockStart,
    "content_block_delta": ContentBlockDelta,
    "content_block_stop": ContentBlockStop,
    "message_delta": MessageDelta,
    "message_stop": MessageStop,
    "error": AnthropicError,
}
"""Shapes of the events of a streamed message, by their names."""
