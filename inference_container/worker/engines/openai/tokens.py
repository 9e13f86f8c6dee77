"""vLLM's server: prompts and answers as token ids, over ``/tokenize`` and ``/completions``."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from worker.engines.limits import token_budget
from worker.engines.openai.client import Call, UpstreamClient
from worker.engines.openai.dialect import choice_of, reason_of, sampling_fields
from worker.engines.protocol import (
    ChatMessage,
    EngineError,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
)
from worker.engines.rendering import plain_messages


class TokenDialect:
    """Everything is counted in the model's own tokens."""

    def __init__(self, *, client: UpstreamClient, root: str, timeout_s: float) -> None:
        self._client = client
        self._url = f"{root}/tokenize"
        self._timeout_s = timeout_s

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Have the upstream render by the model's own chat template."""
        body = {"model": model, "messages": plain_messages(messages), "add_generation_prompt": True}
        told = await self._client.post(self._url, body, timeout_s=self._timeout_s)
        if not isinstance(told, dict) or not isinstance(told.get("tokens"), list):
            raise EngineError("The upstream's /tokenize tells no tokens: AXON_UPSTREAM_KIND=openai")
        return Prompt(token_ids=tuple(told["tokens"]), text="")

    def answer(self, request: GenerateRequest, model: ModelInfo) -> "TokenAnswer":
        """Return an answer to be asked for, from its ``generated_token_ids`` on."""
        return TokenAnswer(request, model)


class TokenAnswer:
    """One answer by completions.

    Tokens that complete no character go out with the one that does, and text that may begin a stop
    string waits, so that the ids of a chunk are exactly those of its text. vLLM itself would hold
    back the text only.
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        self.reason: FinishReason | None = None
        self.full = False
        self._request = request
        self._ids = list(request.generated_token_ids)
        self._held: list[int] = []
        self._text = ""
        self._budget = token_budget(request, model.context_window) + len(self._ids)

    @property
    def begun(self) -> bool:
        """Whether a chunk was taken."""
        return len(self._ids) > len(self._request.generated_token_ids)

    def call(self) -> Call | None:
        """Return the request for what is still to come, None if nothing is."""
        request, left = self._request, self._budget - len(self._ids)
        if left <= 0:
            self.reason = self.reason or "length"
        if self.reason is not None:
            return None
        self._held, self._text = [], ""
        body: dict[str, Any] = {
            "model": request.model,
            "prompt": [*request.prompt.token_ids, *self._ids],
            "max_tokens": left,
            "stream": True,
            "return_token_ids": True,
            "include_stop_str_in_output": True,
        }
        return Call(
            "completions", body | sampling_fields(request.sampling, resumed_at=len(self._ids))
        )

    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        """Return what an event brings, None if that is nothing to show."""
        choice = choice_of(event)
        if not choice:
            return None
        text, ids = choice.get("text") or "", choice.get("token_ids")
        self.reason = reason_of(choice)
        if ids is None and (text or self.reason is None):
            raise EngineError(
                "The upstream tells no token ids: update it, or set AXON_UPSTREAM_KIND=openai."
            )
        stop = choice.get("stop_reason")
        ended_by_token = self.reason == "stop" and not isinstance(stop, str)
        self._held += (ids or [])[:-1] if ended_by_token else ids or []
        self._text += text
        if self.reason is not None:
            self._text = self._text.removesuffix(stop) if isinstance(stop, str) else self._text
            return None
        return self._take() if self._text and not self._may_stop() else None

    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer; a character that the end cuts is dropped."""
        return replace(self._take(), finish_reason=self.reason)

    def _take(self) -> TokenChunk:
        chunk = TokenChunk(self._text, tuple(self._held))
        self._ids += self._held
        self._held, self._text = [], ""
        return chunk

    def _may_stop(self) -> bool:
        """Whether the text ends with the beginning of a stop string."""
        beginnings = (
            stop[:length]
            for stop in self._request.sampling.stop
            for length in range(1, len(stop) + 1)
        )
        return self._text.endswith(tuple(beginnings))
