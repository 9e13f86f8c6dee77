"""What differs between the kinds of upstream: how to ask, and what the answer tells."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from worker.engines.openai.client import Call
from worker.engines.openai.errors import TransientError
from worker.engines.protocol import (
    ChatMessage,
    EngineError,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    Sampling,
    TokenChunk,
)
from worker.engines.sampling import given_fields

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "eos_token": "stop", "length": "length"}


class Answer(Protocol):
    """One answer on its way; it outlives the streams that bring it."""

    reason: FinishReason | None
    """Why the answer has ended; None as long as it has not."""
    full: bool
    """Whether the upstream goes on though the answer is as long as it may be."""

    @property
    def begun(self) -> bool:
        """Whether a chunk was taken."""
        ...

    def call(self) -> Call | None:
        """Return the request for what is still to come, None if nothing is."""
        ...

    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        """Return what an event brings, None if that is nothing to show."""
        ...

    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer."""
        ...


class Dialect(Protocol):
    """One kind of upstream."""

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render the conversation."""
        ...

    def answer(self, request: GenerateRequest, model: ModelInfo) -> Answer:
        """Return an answer to be asked for, from its ``generated_token_ids`` on."""
        ...


def sampling_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return the body's fields for sampling, without those that are left to the upstream."""
    stop = {"stop": list(sampling.stop)} if sampling.stop else {}
    return given_fields(sampling, resumed_at=resumed_at) | stop


def choice_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event's only choice; an empty one for events that have none."""
    choices = event.get("choices") or [{}]
    if not (isinstance(choices, list) and isinstance(choices[0], dict)):
        raise TransientError("The upstream's stream broke: a choice is no object.")
    return choices[0]


def reason_of(choice: Mapping[str, Any]) -> FinishReason | None:
    """Return why the answer ends here.

    Raises
    ------
    RefusedError
        The upstream's filter ended it.
    EngineError
        Another reason, which is no end of a text.
    """
    told = choice.get("finish_reason")
    if not told:
        return None
    if told == "content_filter":
        raise RefusedError("The model's content filter ended the answer.")
    if told in ("error", "abort"):
        raise TransientError(f"The upstream ended the answer: {told}.")
    if told not in _REASONS:
        raise EngineError(f"The upstream ended the answer for the unknown reason '{told}'.")
    return _REASONS[told]
