"""The two APIs of upstreams behind one protocol, and what their streams have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from worker.engines.openai.answer import UpstreamAnswer
from worker.engines.openai.errors import TransientError
from worker.engines.openai.shapes import ShapeError, kind_of
from worker.engines.protocol import (
    ChatMessage,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    Sampling,
    ToolSpec,
)
from worker.engines.sampling import given_fields

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
}
"""Finish reasons of OpenAI's API, and of TGI, Mistral's API and gateways."""
_MAX_CHARACTERS = 50
_MOST_STOPS = 4
"""Stop strings that OpenAI's API takes. They only end the upstream's work: all of them are searched
for here, too (`worker.engines.stops`)."""


class UpstreamApi(Protocol):
    """One kind of upstream: how prompts are rendered and answers asked for.

    Attributes
    ----------
    MISSING : tuple[str, ...]
        Sampling parameters that it does not have.
    """

    MISSING: ClassVar[tuple[str, ...]] = ()

    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        """Render the conversation."""
        ...

    def answer(self, request: GenerateRequest, model: ModelInfo) -> UpstreamAnswer:
        """Return a new answer that continues after the request's ``generated_token_ids``."""
        ...


def sampling_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return the body's sampling fields; what the request leaves open is left to the upstream."""
    stop = {"stop": list(sampling.stop[:_MOST_STOPS])} if sampling.stop else {}
    return given_fields(sampling, resumed_at=resumed_at) | stop


def reason_of(choice: Mapping[str, Any]) -> FinishReason | None:
    """Return why the answer ends with this choice, None if it does not.

    Raises
    ------
    TransientError
        The upstream gave up.
    RefusedError
        The upstream's content filter ended the answer.
    ShapeError
        The reason is not known: the answer may be anything but complete.
    """
    reason = choice.get("finish_reason")
    if reason is None or reason == "":
        return None
    if not isinstance(reason, str):
        raise ShapeError("choices[0].finish_reason", f"must be text, not {kind_of(reason)}")
    if reason == "content_filter":
        raise RefusedError("The model's content filter ended the answer.")
    if reason in ("error", "abort"):
        raise TransientError(f"The upstream ended the answer: {reason}.")
    if reason not in _REASONS:
        shown = ascii(reason[:_MAX_CHARACTERS])
        raise ShapeError("choices[0].finish_reason", f"is the unknown reason {shown}")
    return _REASONS[reason]
