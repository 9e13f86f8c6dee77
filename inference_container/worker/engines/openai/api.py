"""The two APIs of upstreams behind one protocol, and what their events have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from worker.engines.openai.answer import UpstreamAnswer
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
)
from worker.engines.sampling import given_fields

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "eos_token": "stop", "length": "length"}
"""Finish reasons of OpenAI's API and of TGI (`eos_token`)."""


class UpstreamApi(Protocol):
    """One kind of upstream: how prompts are rendered and answers asked for."""

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render the conversation."""
        ...

    def answer(self, request: GenerateRequest, model: ModelInfo) -> UpstreamAnswer:
        """Return a new answer that continues after the request's ``generated_token_ids``."""
        ...


def sampling_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return the body's sampling fields; what the request leaves open is left to the upstream."""
    stop = {"stop": list(sampling.stop)} if sampling.stop else {}
    return given_fields(sampling, resumed_at=resumed_at) | stop


def choice_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event's only choice; an empty mapping for events that have none (usage).

    Raises
    ------
    TransientError
        The event is malformed.
    """
    choices = event.get("choices") or [{}]
    if not (isinstance(choices, list) and isinstance(choices[0], dict)):
        raise TransientError("The upstream's stream broke: a choice is no object.")
    return choices[0]


def reason_of(choice: Mapping[str, Any]) -> FinishReason | None:
    """Return why the answer ends with this choice, None if it does not.

    Raises
    ------
    TransientError
        The upstream gave up.
    RefusedError
        The upstream's content filter ended the answer.
    EngineError
        The reason is not known: the answer may be anything but complete.
    """
    reason = choice.get("finish_reason")
    if not reason:
        return None
    if reason == "content_filter":
        raise RefusedError("The model's content filter ended the answer.")
    if reason in ("error", "abort"):
        raise TransientError(f"The upstream ended the answer: {reason}.")
    if reason not in _REASONS:
        raise EngineError(f"The upstream ended the answer for the unknown reason '{reason}'.")
    return _REASONS[reason]
