"""What the worker asks of an engine, and the errors an engine may raise.

EngineError
    ``EngineDeadError``: the engine cannot serve again; every running request gets it.
    ``UnloadedError``: the model was unloaded or replaced; another attempt at the request is due.
    ``RefusedError``: this request cannot be served; the message is for the client.
        ``ContextOverflowError``: its prompt leaves no room for an answer.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from axon.protocol.objects import Usage

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length"]


class EngineError(Exception):
    """One request failed; the engine goes on serving others. The message is for the log."""


class RefusedError(EngineError):
    """One request cannot be served, as the message tells the client."""


class ContextOverflowError(RefusedError):
    """The prompt does not fit the model's context window."""


class EngineDeadError(EngineError):
    """The engine is gone for good; the process that holds it should end."""


class UnloadedError(EngineError):
    """The model was unloaded, or replaced, before this answer's end; another attempt goes on."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model an engine serves; both limits in tokens."""

    id: str
    context_window: int
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine serves, and how many generations it runs at once."""

    models: tuple[ModelInfo, ...]
    slots: int


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation, as the model's chat template takes it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt; ``len(token_ids)`` is the number of input tokens.

    Where an upstream does not tell its tokens, that number is `estimated`: good enough to see
    whether something fits, not to be reported as usage.
    """

    token_ids: tuple[int, ...]
    text: str
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; ``None`` leaves the choice to the engine.

    The answer ends before the first of the `stop` strings in its text (see ``stops``).
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A generation to run; ``generated_token_ids`` is what an earlier attempt already made.

    ``sampling.max_tokens`` counts the whole answer, those ids included. A higher `priority` goes
    sooner. `text_format`: the Responses API's `text.format` where it is not plain text. Requests
    of one `conversation_id` begin alike.
    """

    request_id: str
    model: str
    prompt: Prompt
    sampling: Sampling
    generated_token_ids: tuple[int, ...] = ()
    priority: int = 0
    text_format: Mapping[str, Any] | None = None
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """New text and the ids of the tokens it came from; only the last chunk has a finish reason.

    It may also have the `usage` of the whole answer, where something else than its ids tells it.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """Generates answers for one worker.

    Joined chunk texts are the answer, joined ``token_ids`` its tokens without the end token, and
    no character ever arrives in halves. The tokens of a stop string count, its text is not shown.
    Continuing after any first ids yields exactly the rest; with stop strings, and where only an
    upstream knows the text of ids, after those of any first chunks.
    """

    async def start(self) -> None:
        """Load what is served; ``EngineError`` if that fails."""
        ...

    async def close(self) -> None:
        """End what runs with ``EngineDeadError`` and release everything."""
        ...

    def info(self) -> EngineInfo:
        """Return models and slots; valid after ``start``."""
        ...

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render the conversation by the model's own chat template."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer; closing, cancelling or aborting it frees its slot."""
        ...

    async def abort(self, request_id: str) -> None:
        """End a running generation without a further chunk; unknown ids are ignored."""
        ...

    async def health(self) -> bool:
        """Return whether a request sent now could be served."""
        ...


@runtime_checkable
class AdaptableEngine(Protocol):
    """An engine that takes LoRA adapters while it serves."""

    async def load_adapter(self, name: str, uri: str) -> None:
        """Serve an adapter under this name, from now on this one; ``EngineError`` if it cannot."""
        ...

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter; answers that it has begun go on."""
        ...
