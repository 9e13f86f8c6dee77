"""Shapes of the Responses API: the response, its output items, pages and errors."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(TypedDict):
    """A text of a message."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class OutputMessage(TypedDict):
    """A message of the model."""

    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]
    stop_sequence: NotRequired[str]
    """The stop string that has ended it, where a view of the API has asked for one."""


class SummaryText(TypedDict):
    """A part of the summary of reasoning."""

    type: Literal["summary_text"]
    text: str


class ReasoningText(TypedDict):
    """A text of reasoning."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(TypedDict):
    """The thoughts of the model before it answered."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[SummaryText]
    content: list[ReasoningText]


class OutputFunctionCall(TypedDict):
    """A call of a function, which the client is to answer."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str
    namespace: NotRequired[str]


class OutputCustomToolCall(TypedDict):
    """A call of a tool that takes a text, which the client is to answer."""

    id: str
    type: Literal["custom_tool_call"]
    status: ItemStatus
    call_id: str
    name: str
    input: str
    namespace: NotRequired[str]


OutputItem = OutputMessage | OutputReasoning | OutputFunctionCall | OutputCustomToolCall


class ResponseError(TypedDict):
    """Why a response has failed; `type` is what agents look for, if they do."""

    type: NotRequired[str]
    code: str
    message: str


class IncompleteDetails(TypedDict):
    """Why a response is incomplete."""

    reason: str


class InputTokens(TypedDict):
    """Tokens of the input that a cache had or now has."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokens(TypedDict):
    """Tokens of the output that are reasoning."""

    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """Tokens of a response."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ShownTool(TypedDict):
    """A function that the request offered."""

    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any]
    strict: bool


class ShownCustomTool(TypedDict):
    """A tool that takes a text."""

    type: Literal["custom"]
    name: str
    description: NotRequired[str | None]
    format: NotRequired[dict[str, Any] | None]


class ShownNamespace(TypedDict):
    """Tools under a common name."""

    type: Literal["namespace"]
    name: str
    description: NotRequired[str | None]
    tools: list[dict[str, Any]]


ShownOtherTool = Annotated[
    dict[str, Any],
    Field(description="A tool of a type that the deployment ignores, as the request brought it."),
]
AnyShownTool = ShownTool | ShownCustomTool | ShownNamespace | ShownOtherTool


class ShownNamedTool(TypedDict):
    """The one tool that the model must call."""

    type: Literal["function", "custom"]
    name: str


class ShownAllowedTools(TypedDict):
    """The tools that the model may call."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


ShownChoice = Literal["auto", "none", "required"] | ShownNamedTool | ShownAllowedTools


class ShownReasoning(TypedDict):
    """Options of reasoning."""

    effort: str | None
    summary: str | None


class ShownFormat(TypedDict):
    """The format of the answer's text."""

    type: Literal["text", "json_object", "json_schema"]
    name: NotRequired[str]
    schema: NotRequired[dict[str, Any]]
    description: NotRequired[str | None]
    strict: NotRequired[bool]


class ShownText(TypedDict):
    """Options of the answer's text."""

    format: ShownFormat


class ShownConversation(TypedDict):
    """The conversation that the request named."""

    id: str


class Response(TypedDict):
    """A response: the answer to one request, and the request's options."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    incomplete_details: IncompleteDetails | None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[OutputItem]
    error: ResponseError | None
    tools: list[AnyShownTool]
    tool_choice: ShownChoice
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: ShownText
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: ShownReasoning
    usage: ResponseUsage | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: Literal["default", "flex", "priority"]
    metadata: dict[str, str]
    safety_identifier: str | None
    prompt_cache_key: str | None
    conversation: NotRequired[ShownConversation]


class CountedTokens(TypedDict):
    """The tokens of an input."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class DeletedResponse(TypedDict):
    """The answer to a deletion."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


InputItem = Annotated[
    dict[str, Any],
    Field(description="An item as the request brought it, with an `id` and texts as parts."),
]


class InputItemPage(TypedDict):
    """A page of items."""

    object: Literal["list"]
    data: list[InputItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class CompactedResponse(TypedDict):
    """A conversation in short: its user's messages, and a summary of all of it."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[InputItem]
    usage: ResponseUsage | None
