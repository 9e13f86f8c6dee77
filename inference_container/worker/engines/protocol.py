"""The protocol between the worker and its engines, with their errors.

EngineError
    One request failed; the message is for the log.
    ``EngineDeadError``: the engine cannot serve again; every running request gets it.
    ``UnloadedError``: the model was unloaded or swapped; another attempt continues the answer.
    ``BusyError``: it has no room; a later attempt may be served.
    ``UnusableAnswerError``: the answer cannot be read; the message is for the client.
    ``RefusedError``: this request cannot be served; the message is for the client.
        ``ContextOverflowError``: its prompt leaves no room for an answer.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from axon.protocol.objects import Usage
from axon.serialization import dumps

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length"]


class EngineError(Exception):
    """One request failed; the engine still serves others. The message is for the log."""


class RefusedError(EngineError):
    """One request cannot be served; the message is for the client."""


class ContextOverflowError(RefusedError):
    """The prompt does not fit the model's context window."""


class BusyError(EngineError):
    """The engine has no room for the request now; the job waits in the queue for a later attempt.

    Parameters
    ----------
    message : str
        The reason, for the log.
    retry_after_s : float
        Seconds before which no attempt would be served; 0 if the engine does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnusableAnswerError(EngineError):
    """The answer that the engine was sent cannot be read, and a repetition would be no better.

    The message is for the client: it names the model and what is wrong, and has no text of the
    answer.
    """


class EngineDeadError(EngineError):
    """The engine cannot serve again; the worker's process should end."""


class UnloadedError(EngineError):
    """The model was unloaded or swapped before the answer's end; another attempt continues it."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that an engine serves.

    Parameters
    ----------
    id : str
        The name that requests use.
    context_window : int
        Tokens of prompt and answer together.
    max_output_tokens : int
        Tokens of an answer.
    call_format : str | None
        How the model writes calls (`worker.parsers.families`); None if it is to be shown no tools.
    reasoning_format : str | None
        How it marks its reasoning; None if it does not reason.
    reasoning_opened : bool
        True if prompts end with the marker that begins the reasoning: answers begin behind it.
    """

    id: str
    context_window: int
    max_output_tokens: int
    call_format: str | None = None
    reasoning_format: str | None = None
    reasoning_opened: bool = False


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The models of an engine, and the number of generations that it runs at once."""

    models: tuple[ModelInfo, ...]
    slots: int


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function that a prompt shows to the model.

    Parameters
    ----------
    name, description : str, str | None
        Its name, and what it does.
    parameters : Mapping[str, Any]
        JSON schema of its arguments; empty if it takes none.
    strict : bool
        True if the arguments of calls must be valid against the schema.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False

    @property
    def text(self) -> str:
        """All that the model is shown of it: for estimates and engines that have no template."""
        return f"{self.name} {self.description or ''} {dumps(self.parameters).decode()}"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that an answer asked for.

    Parameters
    ----------
    id : str
        Id that the call's output names.
    name : str
        Name of the function.
    arguments : str
        As the model wrote them: JSON, unless it erred.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation, as a chat template takes it.

    Parameters
    ----------
    role : Role
        Who speaks; `developer` is `system` here.
    content : str
        The text; empty if an assistant's message has calls alone.
    calls : tuple[ToolCall, ...]
        The calls that an assistant's message asks for, behind its text.
    call_id : str | None
        Id of the call whose output a tool's message is.
    name : str | None
        Name of the function whose output it is; None if the call is not in the conversation.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """Its text, with the calls: for estimates and engines that have no template."""
        calls = (f"{call.name}({call.arguments})" for call in self.calls)
        return "\n".join(filter(None, (self.content, *calls)))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt.

    Parameters
    ----------
    token_ids : tuple[int, ...]
        Its length is the number of input tokens.
    text : str
        The prompt as text, where the engine needs or has it.
    estimated : bool
        Whether the number is only an estimate, because the upstream does not return its tokens:
        enough to check that a prompt fits, but not to be reported as usage.
    """

    token_ids: tuple[int, ...]
    text: str
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters as in OpenAI's API; ``None`` leaves a choice to the engine.

    Parameters
    ----------
    max_tokens : int
        Limit of the whole answer, earlier attempts included.
    temperature : float | None
        0 chooses the most probable token.
    top_p : float | None
        Tokens are drawn from the smallest set with this probability mass, in (0, 1].
    presence_penalty : float | None
        Lowers the logit of each token that the answer contains already.
    frequency_penalty : float | None
        Lowers it once for each time that the token occurs.
    top_k : int | None
        Tokens are drawn from the `top_k` most probable ones, 1 at least.
    seed : int | None
        Start of the random numbers that tokens are drawn with.
    stop : tuple[str, ...]
        The answer ends before the first of these strings in its text (`worker.engines.stops`).
    logit_bias : Mapping[str, float]
        Added to the logits of tokens, by their ids in decimal digits, in [-100, 100].
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A generation to run.

    Parameters
    ----------
    request_id : str
        Id of this generation, unlike that of any other attempt; `Engine.abort` takes it.
    model : str
        Name of the model as the request gives it.
    prompt : Prompt
        As this engine rendered it (`Engine.assemble`).
    sampling : Sampling
        How tokens are chosen and where the answer ends.
    generated_token_ids : tuple[int, ...]
        Tokens of the answer that earlier attempts generated; the engine continues after them.
    priority : int
        The higher, the sooner it gets a slot.
    text_format : Mapping[str, Any] | None
        The Responses API's `text.format`; None for plain text.
    conversation_id : str
        Requests of one conversation begin with the same prompt.
    parsed : bool
        The answer is searched for calls and reasoning: its text has all special tokens but those
        that end it, and its chunks have `lengths`.
    """

    request_id: str
    model: str
    prompt: Prompt
    sampling: Sampling
    generated_token_ids: tuple[int, ...] = ()
    priority: int = 0
    text_format: Mapping[str, Any] | None = None
    conversation_id: str = ""
    parsed: bool = False


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """New text and the ids of its tokens.

    Parameters
    ----------
    text : str
        Whole characters only.
    token_ids : tuple[int, ...]
        Tokens since the chunk before.
    finish_reason : FinishReason | None
        Set in the last chunk only.
    usage : Usage | None
        Usage of the whole answer, in the last chunk, if the engine knows more than the ids tell:
        the tokens of an upstream, or how much of the prompt was in a prefix cache.
    cached_tokens : int | None
        Tokens of the prompt that were in a prefix cache, in the first chunk, if the engine knows
        them so early.
    stop : str | None
        The stop string that ended the answer, in the last chunk; None if none did, or if only the
        upstream knows which.
    lengths : tuple[int, ...]
        Characters that each token completes, of a request that is `parsed`; empty if the engine
        does not know them.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    cached_tokens: int | None = None
    stop: str | None = None
    lengths: tuple[int, ...] = ()


class Engine(Protocol):
    """Generates answers for one worker.

    The joined texts of an answer's chunks are the answer, their joined ``token_ids`` its tokens
    without the end token; a chunk never contains half of a character. The tokens of a stop string
    count, but its text is not shown.

    Resuming: a request whose ``generated_token_ids`` are any first ids of an answer yields exactly
    the rest. With stop strings, and where only an upstream knows the text of ids, this holds for
    the ids of any first chunks.
    """

    async def start(self) -> None:
        """Load the models.

        Raises
        ------
        EngineError
            They cannot be loaded.
        """
        ...

    async def close(self) -> None:
        """End running generations with ``EngineDeadError``, and release all resources."""
        ...

    def info(self) -> EngineInfo:
        """Return the models and the slots; valid after ``start``."""
        ...

    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        """Render the conversation by the model's own chat template.

        Parameters
        ----------
        model : str
            Name of the model as the request gives it.
        messages : Sequence[ChatMessage]
            The conversation, oldest first.
        tools : Sequence[ToolSpec]
            The functions that the model may call.

        Raises
        ------
        RefusedError
            The model is not served, or cannot take the conversation.
        """
        ...

    async def prepare(self, request: GenerateRequest) -> None:
        """Check a request before it waits for a slot: the cost of a check is nobody else's.

        Raises
        ------
        RefusedError
            It cannot be served: the engine takes no `text.format`, or not this one, or does not
            have a sampling parameter that must not be ignored.
        BusyError
            A later attempt may be served.
        """
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer in whole characters; closing or cancelling the stream frees its slot.

        Raises
        ------
        EngineError
            Of any kind (see the module).
        """
        ...

    async def abort(self, request_id: str) -> None:
        """End a generation without a further chunk; an unknown id is ignored."""
        ...

    async def health(self) -> bool:
        """Return whether a request sent now could be served."""
        ...
