"""Shapes of Chat Completions and Completions."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from axon.protocol.chat.objects import FinishReason


class PromptTokens(TypedDict):
    """Tokens of the prompt that a cache had."""

    cached_tokens: int


class CompletionTokens(TypedDict):
    """Tokens of the answer that are reasoning."""

    reasoning_tokens: int


class CompletionUsage(TypedDict):
    """Tokens of a request and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


class AnsweredFunction(TypedDict):
    """The function that a model calls, with its arguments as JSON."""

    name: str
    arguments: str


class MessageToolCall(TypedDict):
    """A call of a function, which the client is to answer."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnsweredTool(TypedDict):
    """The custom tool that a model calls, with its text."""

    name: str
    input: str


class MessageCustomCall(TypedDict):
    """A call of a custom tool, which the client is to answer."""

    id: str
    type: Literal["custom"]
    custom: AnsweredTool


class AnswerMessage(TypedDict):
    """The model's message; `reasoning_content` is DeepSeek's field, which many clients know."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[MessageToolCall | MessageCustomCall]]


class ChatChoice(TypedDict):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(TypedDict):
    """A whole answer of Chat Completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    service_tier: str
    system_fingerprint: str | None
    choices: list[ChatChoice]
    usage: CompletionUsage | None


class ChunkFunction(TypedDict):
    """A part of a called function: its name at first, then its arguments bit by bit."""

    name: NotRequired[str]
    arguments: str


class ChunkInput(TypedDict):
    """A part of a called custom tool: its name at first, then its text bit by bit."""

    name: NotRequired[str]
    input: str


class ChunkToolCall(TypedDict):
    """A part of a call, which is one of several by its index."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function", "custom"]]
    function: NotRequired[ChunkFunction]
    custom: NotRequired[ChunkInput]


class ChunkDelta(TypedDict, total=False):
    """An addition of a chunk to the message."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str
    tool_calls: list[ChunkToolCall]


class ChunkChoice(TypedDict):
    """An addition of a chunk to one answer."""

    index: int
    delta: ChunkDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(TypedDict):
    """A part of a streamed answer of Chat Completions; the one with the usage has no choice."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    service_tier: str
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: NotRequired[CompletionUsage | None]


class TextChoice(TypedDict):
    """One answer of Completions, or what a chunk adds to it."""

    text: str
    index: int
    logprobs: None
    finish_reason: FinishReason | None


class TextCompletion(TypedDict):
    """An answer of Completions, whole or a chunk of it."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[TextChoice]
    usage: NotRequired[CompletionUsage | None]
