"""Upstreams that tell text only, over ``/chat/completions``: Ollama, TGI, llama.cpp, gateways."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from axon.protocol.objects import Usage
from axon.serialization import dumps, loads
from worker.engines.limits import token_budget
from worker.engines.openai.client import Call
from worker.engines.openai.dialect import choice_of, reason_of, sampling_fields
from worker.engines.openai.texts import ids_of, text_of
from worker.engines.protocol import (
    ChatMessage,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
)
from worker.engines.rendering import plain_messages
from worker.engines.stops import Chunks

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4


class ChatDialect:
    """Prompts are the messages themselves; how many tokens they have, only the upstream knows."""

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:  # noqa: ARG002
        """Keep the messages; the ids are as many as the tokens are likely to be."""
        size = sum(len(message.content.encode()) for message in messages)
        tokens = size // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * len(messages)
        text = dumps(plain_messages(messages)).decode()
        return Prompt(token_ids=(0,) * tokens, text=text, estimated=True)

    def answer(self, request: GenerateRequest, model: ModelInfo) -> "ChatAnswer":
        """Return an answer to be asked for, from its ``generated_token_ids`` on."""
        return ChatAnswer(request, model)


class ChatAnswer:
    """One answer by chat completions.

    It is continued by showing the model its own text as the last message. Servers that begin a
    new message there unless told otherwise understand `continue_final_message`. Stop strings are
    looked for here, too: the upstream sees none that began before it was asked.
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        self.reason: FinishReason | None = None
        self.full = False
        self._request = request
        self._ids = list(request.generated_token_ids)
        self._chunks = Chunks()
        self._budget = token_budget(request, model.context_window) + len(self._ids)
        # A limit that only the window sets comes from an estimate: the upstream knows its own.
        limit = request.sampling.max_tokens + len(request.prompt.token_ids)
        self._limited = limit < model.context_window
        self._asked_at = 0
        self._usage: Usage | None = None

    @property
    def begun(self) -> bool:
        """Whether a chunk was taken."""
        return len(self._ids) > len(self._request.generated_token_ids)

    def call(self) -> Call | None:
        """Return the request for what is still to come, None if nothing is."""
        request, left = self._request, self._budget - len(self._ids)
        if self.reason is not None:
            return None
        known = text_of(self._ids)
        self._chunks = Chunks(request.sampling.stop, known=known)
        if self._chunks.stopped or left <= 0:
            self.reason = "stop" if self._chunks.stopped else "length"
            return None
        self._asked_at = len(self._ids)
        messages = loads(request.prompt.text)
        body: dict[str, Any] = {"model": request.model, "messages": messages, "stream": True}
        body["stream_options"] = {"include_usage": True}
        body |= sampling_fields(request.sampling, resumed_at=len(self._ids))
        if self._limited:
            body["max_tokens"] = left
        if self._ids:
            messages.append({"role": "assistant", "content": known})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return Call("chat/completions", body)

    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        """Return what an event brings, None if that is nothing to show."""
        self._usage = _usage(event.get("usage"), known=self._asked_at) or self._usage
        choice = choice_of(event)
        text = (choice.get("delta") or {}).get("content") or ""
        if self.reason is None:
            self.reason = reason_of(choice)
        if not text:
            return None
        if len(self._ids) + self._chunks.held >= self._budget:
            self.reason, self.full = "length", True
            return None
        self._chunks.add(ids_of(text), text)
        if self._chunks.stopped:
            self.reason, self.full = "stop", self.reason is None
        chunk = self._chunks.take()
        self._ids += chunk.token_ids if chunk else ()
        return chunk

    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer, with what the upstream counted."""
        return replace(self._chunks.last(self.reason), usage=self._usage)


def _usage(told: dict[str, Any] | None, *, known: int) -> Usage | None:
    """Read the upstream's count; to a continued answer it counts what was `known` as input."""
    if not told or told.get("completion_tokens") is None:
        return None
    details = told.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=max(0, (told.get("prompt_tokens") or 0) - known),
        output_tokens=told["completion_tokens"] + known,
        cached_tokens=details.get("cached_tokens") or 0,
    )
