"""Shapes of the events of a response, by their types."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from front.operations.answers.errors import OpenAIErrorDetails
from front.operations.answers.responses import (
    OutputItem,
    OutputText,
    ReasoningText,
    Response,
    ResponseUsage,
    SummaryText,
)


class _Event(TypedDict):
    sequence_number: int


class ResponseEvent(_Event):
    """The response as it is now; the last event is one of these, and shows it as it has ended."""

    type: Literal[
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: Response


class OutputItemEvent(_Event):
    """An output item has begun or ended."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem
    usage: NotRequired[ResponseUsage]
    """The tokens of the prompt, where a view of the API has asked for them."""


class _Place(_Event):
    item_id: str
    output_index: int


class ContentPartEvent(_Place):
    """A text of a message or of reasoning has begun or ended."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: OutputText | ReasoningText


class OutputTextDelta(_Place):
    """More text of a message."""

    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[Any]


class OutputTextDone(_Place):
    """The whole text of a message."""

    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[Any]


class ReasoningTextDelta(_Place):
    """More text of reasoning."""

    type: Literal["response.reasoning_text.delta"]
    content_index: int
    delta: str


class ReasoningTextDone(_Place):
    """The whole text of reasoning."""

    type: Literal["response.reasoning_text.done"]
    content_index: int
    text: str


class SummaryPartEvent(_Place):
    """A part of the summary of reasoning has begun or ended."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: SummaryText


class SummaryTextDelta(_Place):
    """More text of the summary of reasoning."""

    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class SummaryTextDone(_Place):
    """The whole text of a part of the summary of reasoning."""

    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class ArgumentsDelta(_Place):
    """More of the arguments of a function call."""

    type: Literal["response.function_call_arguments.delta"]
    delta: str


class ArgumentsDone(_Place):
    """The whole arguments of a function call."""

    type: Literal["response.function_call_arguments.done"]
    arguments: str


class CustomInputDelta(_Place):
    """More of the text for a custom tool."""

    type: Literal["response.custom_tool_call_input.delta"]
    delta: str


class CustomInputDone(_Place):
    """The whole text for a custom tool."""

    type: Literal["response.custom_tool_call_input.done"]
    input: str


class ErrorEvent(_Event):
    """The stream cannot go on; the response may, and can be followed by its last number."""

    type: Literal["error"]
    status: int
    error: OpenAIErrorDetails
    code: str
    message: str
    param: str | None
    headers: NotRequired[dict[str, str]]


def _by_type(*shapes: Any) -> Mapping[str, Any]:
    """Return the shapes by the values of their `type`."""
    return {name: shape for shape in shapes for name in shape.__annotations__["type"].__args__}


RESPONSE_EVENTS = _by_type(
    ResponseEvent,
    OutputItemEvent,
    ContentPartEvent,
    OutputTextDelta,
    OutputTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    SummaryPartEvent,
    SummaryTextDelta,
    SummaryTextDone,
    ArgumentsDelta,
    ArgumentsDone,
    CustomInputDelta,
    CustomInputDone,
    ErrorEvent,
)
"""Shapes of the events of a stream of the Responses API, by their names."""
