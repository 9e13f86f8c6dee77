"""vLLM's server: prompts and answers as token ids, over ``/tokenize`` and ``/completions``."""

from collections.abc import Sequence
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
from worker.engines.stops import Chunks


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

    vLLM looks for stop strings itself, but tells ids of text that it holds back: it is asked to
    show it all, and what may begin a stop string waits here.
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        self.reason: FinishReason | None = None
        self.full = False
        self._request = request
        self._ids = list(request.generated_token_ids)
        self._chunks = Chunks(request.sampling.stop)
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
        self._chunks = Chunks(request.sampling.stop)
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
        ended_by_token = self.reason == "stop" and not isinstance(choice.get("stop_reason"), str)
        self._chunks.add((ids or [])[:-1] if ended_by_token else ids or [], text)
        if self._chunks.stopped:
            self.reason, self.full = "stop", self.reason is None
        chunk = None if self.reason is not None else self._chunks.take()
        self._ids += chunk.token_ids if chunk else ()
        return chunk

    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer; a character that the end cuts is dropped."""
        return self._chunks.last(self.reason)
