"""ChatStream: the chunks of a streamed answer, made from the response's events."""

from typing_extensions import override

from axon.protocol.chat.chunks import ChunkEncoder, ChunkStream
from axon.protocol.chat.errors import check_answered
from axon.protocol.chat.objects import (
    CALLS,
    FinishReason,
    arguments_of,
    call_of,
    finish_reason_of,
    head_of,
)
from axon.protocol.objects import TERMINAL_EVENTS, Json

DONE = b"[DONE]"
"""Data of the last event of each stream that did not end with an error."""


class ChatStream(ChunkStream):
    """Translates the events of one response, from event 0 on, to the data of SSE events.

    No chunk comes before the first output item: until then a failure can still be an HTTP status.
    Joined, the deltas are the message that `axon.protocol.chat.result` shows.
    """

    def __init__(self, *, include_usage: bool = False, index: int = 0) -> None:
        super().__init__(include_usage=include_usage, index=index)
        self._chunks: ChunkEncoder
        self._begun = False
        self._calls: dict[int, int] = {}
        """Index of each function call among the calls, by its index in the output."""

    @override
    def feed(self, event: Json, *, last: bool = True) -> list[bytes]:
        match event["type"]:
            case "response.output_text.delta":
                return [self._delta({"content": event["delta"]})]
            case "response.reasoning_text.delta":
                return [self._delta({"reasoning_content": event["delta"]})]
            case "response.function_call_arguments.delta":
                return [self._call_delta(event["output_index"], "function_call", event["delta"])]
            case "response.custom_tool_call_input.delta":
                return [self._call_delta(event["output_index"], "custom_tool_call", event["delta"])]
            case "response.output_item.done":
                return self._item_done(event["output_index"], event["item"])
            case "response.output_item.added":
                return self._item(event["output_index"], event["item"])
            case "response.created":
                head = head_of(event["response"], kind="chat.completion.chunk")
                self._chunks = ChunkEncoder(head, include_usage=self._include_usage)
                return []
            case kind if kind in TERMINAL_EVENTS:
                return self._end(event["response"], last=last)
            case _:
                return []

    def _item(self, output_index: int, item: Json) -> list[bytes]:
        is_call = item["type"] in CALLS
        chunks = self._begin(content=None if is_call else "")
        if is_call:
            index = self._calls[output_index] = len(self._calls)
            chunks.append(self._delta({"tool_calls": [{"index": index} | call_of(item, "")]}))
        return chunks

    def _item_done(self, output_index: int, item: Json) -> list[bytes]:
        """Return the arguments of a call that had none to stream."""
        if item["type"] != "function_call" or item["arguments"]:
            return []
        arguments = arguments_of(item)
        return [self._call_delta(output_index, item["type"], arguments)] if arguments else []

    def _begin(self, *, content: str | None) -> list[bytes]:
        """Return the chunk with the role, unless it was returned before."""
        if self._begun:
            return []
        self._begun = True
        return [self._delta({"role": "assistant", "content": content, "refusal": None})]

    def _call_delta(self, output_index: int, item_type: str, arguments: str) -> bytes:
        kind, field = CALLS[item_type]
        call = {"index": self._calls[output_index], kind: {field: arguments}}
        return self._delta({"tool_calls": [call]})

    def _end(self, response: Json, *, last: bool) -> list[bytes]:
        check_answered(response)
        # A response that was cut short before its first item has a message without text.
        chunks = self._begin(content="")
        chunks.append(self._delta({}, finish_reason_of(response)))
        return [*chunks, *self._chunks.usage(response), DONE] if last else chunks

    def _delta(self, delta: Json, reason: FinishReason | None = None) -> bytes:
        choice = {"index": self._index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._chunks.chunk(choice)
