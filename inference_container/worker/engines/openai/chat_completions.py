"""Upstreams that return text only, by ``/chat/completions``: Ollama, TGI, llama.cpp, gateways."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import override

from axon.protocol.objects import Usage
from axon.serialization import dumps, loads
from worker.engines.openai import shapes
from worker.engines.openai.answer import UpstreamAnswer
from worker.engines.openai.api import UpstreamApi, reason_of, sampling_fields
from worker.engines.openai.calls import CallJoiner, has_call
from worker.engines.openai.client import Call
from worker.engines.openai.messages import chat_messages, tool_fields
from worker.engines.openai.text_ids import ids_of, text_of
from worker.engines.protocol import (
    ChatMessage,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
)
from worker.engines.rendering import texts_of

_BYTES_PER_TOKEN = 4
"""Rule of thumb for English text."""
_TOKENS_PER_MESSAGE = 4
"""Allowance for a chat template's markup around each message."""


class ChatCompletionsApi(UpstreamApi):
    """Prompts are the messages themselves; only the upstream knows how many tokens they have."""

    MISSING: ClassVar[tuple[str, ...]] = ("top_k",)
    # OpenAI refuses it, and other servers may ignore it: nobody could tell.

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        """Keep the messages and tools as text; the number of ids is an estimate."""
        size = sum(len(text.encode()) for text in texts_of(messages, tools))
        count = size // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * (len(messages) + len(tools))
        shown = {"messages": chat_messages(messages)} | tool_fields(tools)
        return Prompt(token_ids=(0,) * count, text=dumps(shown).decode(), estimated=True)

    @override
    def answer(self, request: GenerateRequest, model: ModelInfo) -> "ChatAnswer":
        return ChatAnswer(request, model)


class ChatAnswer(UpstreamAnswer):
    """One answer by chat completions.

    It is continued by showing the model its own text as the last message. Servers that would begin
    a new message there understand `continue_final_message`. Stop strings are searched for here as
    well: the upstream cannot see one that began before it was asked. One that the upstream finds is
    missing in its text; vLLM and few others tell which it was (`stop_reason`).
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        super().__init__(request, model)
        # A limit that only the window sets comes from an estimate: the upstream knows its own.
        limit = request.sampling.max_tokens + len(request.prompt.token_ids)
        self._limited = limit < model.context_window
        self._resumed_at = 0
        self._calls = CallJoiner()
        self._usage: Usage | None = None
        self._stop: str | None = None

    @override
    def call(self) -> Call | None:
        request, left = self._request, self._left
        if self.reason is not None:
            return None
        known = text_of(self._ids)
        self._begin_stream(known=known)
        self._calls = CallJoiner()
        # No server continues behind a call: the model may make another one when it has the output.
        prompt = loads(request.prompt.text)
        ended = self._chunks.stopped or ("tools" in prompt and has_call(known))
        if ended or left <= 0:
            self.reason = "stop" if ended else "length"
            return None
        self._resumed_at = len(self._ids)
        body: dict[str, Any] = {"model": request.model, **prompt, "stream": True}
        body["stream_options"] = {"include_usage": True}
        body |= sampling_fields(request.sampling, resumed_at=len(self._ids))
        if self._limited:
            body["max_tokens"] = left
        if self._ids:
            body["messages"].append({"role": "assistant", "content": known})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return Call("chat/completions", body)

    @override
    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        self._usage = _usage(event.get("usage"), known=self._resumed_at) or self._usage
        choice = shapes.choice_of(event)
        delta = shapes.delta_of(choice)
        content = shapes.content_text(delta.get("content"), "choices[0].delta.content")
        text = self._characters.add(content) + self._calls.add(delta)
        # The usage follows in an event of its own, whose choice has no reason.
        if self.reason is None:
            self.reason = reason_of(choice)
            told = choice.get("stop_reason")
            self._stop = told if told in self._request.sampling.stop else None
        if self.reason is not None:
            text += self._calls.end()
        if not text:
            return None
        # Without max_tokens in the request, or if the upstream ignores it, this ends the answer.
        if len(self._ids) + self._chunks.buffered >= self._budget:
            self.reason, self.full = "length", True
            return None
        self._chunks.add(ids_of(text), text)
        self._end_at_stop_string()
        return self._passed_on(self._chunks.take())

    @override
    def done(self) -> None:
        if text := self._calls.end():
            self._chunks.add(ids_of(text), text)
        super().done()

    @override
    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer, with the usage that the upstream counted."""
        chunk = super().last()
        return replace(chunk, usage=self._usage, stop=chunk.stop or self._stop)


def _usage(counts: object, *, known: int) -> Usage | None:
    """Return the upstream's token counts for the whole answer, None where they are no counts.

    A continued answer's `known` tokens were input for the upstream, but are output for the client.
    """
    if not isinstance(counts, dict):
        return None
    output = shapes.count_of(counts.get("completion_tokens"))
    if output is None:
        return None
    return Usage(
        input_tokens=max(0, (shapes.count_of(counts.get("prompt_tokens")) or 0) - known),
        output_tokens=output + known,
        cached_tokens=shapes.cached_tokens(counts),
    )
