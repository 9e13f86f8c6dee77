"""MessageStream: a response's events as the events of a streamed message."""

from typing import NamedTuple

from axon.protocol.anthropic.errors import check_answered, messages_error
from axon.protocol.anthropic.result import (
    UNSIGNED,
    message_start,
    stop_of,
    text_block,
    thinking_block,
    tool_use_block,
    usage_of,
)
from axon.protocol.objects import TERMINAL_EVENTS, Json
from axon.serialization import dumps


class MessageEvent(NamedTuple):
    """An event of a stream: its name, and its JSON on one line."""

    name: str
    data: bytes


def error_event(error: BaseException, *, request_id: str | None = None) -> MessageEvent:
    """Return the event of an error after which no other follows."""
    _, body = messages_error(error, request_id=request_id)
    return _event(body)


def _event(fields: Json) -> MessageEvent:
    return MessageEvent(fields["type"], dumps(fields))


PING = _event({"type": "ping"})
"""Event that says nothing but that the stream is alive."""


class MessageStream:
    """Makes the events of one message from the events of its response, fed in their order.

        message_start -> (content_block_start -> delta* -> content_block_stop)* -> message_delta
        -> message_stop

    An output item with something to show is one block. The message begins with its first block or
    its end. Until then an error can still be answered with its status, by which clients decide what
    to do: most prompts that are too long are found only by a worker, after the response has begun.

    Parameters
    ----------
    thinking : bool
        The client is to get the model's thinking.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking = thinking
        self._response: Json = {}
        self._usage: Json | None = None
        self._blocks = 0
        self._open = False
        self._signed = True
        """The open block needs no signature."""
        self._started = False

    def feed(self, event: Json) -> list[MessageEvent]:
        """Return the events that follow from a response's next event; `response.created` first.

        Raises
        ------
        RequestError
            The response has ended without an answer. Before the first event it is the answer to
            the request; after it, its own event (`error_event`) ends the stream.
        """
        # The first event of the output tells the tokens of the prompt, if they are known so early.
        self._usage = event.get("usage") or self._usage
        match event["type"]:
            case "response.created":
                self._response = event["response"]
            case "response.output_text.delta":
                return self._add(text_block(""), {"type": "text_delta", "text": event["delta"]})
            case "response.reasoning_text.delta" if self._thinking:
                block = thinking_block("", signature="")
                return self._add(block, {"type": "thinking_delta", "thinking": event["delta"]})
            case "response.function_call_arguments.delta":
                return [self._delta({"type": "input_json_delta", "partial_json": event["delta"]})]
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                return self._begin(tool_use_block(event["item"], tool_input={}))
            case "response.output_item.done":
                return self._end_block()
            case kind if kind in TERMINAL_EVENTS:
                return self._end(event["response"])
        return []

    def _add(self, block: Json, delta: Json) -> list[MessageEvent]:
        """Return a delta, behind the beginning of its block if that has not begun."""
        beginning = [] if self._open else self._begin(block)
        return [*beginning, self._delta(delta)]

    def _begin(self, block: Json) -> list[MessageEvent]:
        events = [*self._start(), *self._end_block()]
        self._open, self._signed = True, block["type"] != "thinking"
        start = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        return [*events, _event(start)]

    def _delta(self, delta: Json) -> MessageEvent:
        return _event({"type": "content_block_delta", "index": self._blocks, "delta": delta})

    def _end_block(self) -> list[MessageEvent]:
        if not self._open:
            return []
        end = [_event({"type": "content_block_stop", "index": self._blocks})]
        if not self._signed:
            end.insert(0, self._delta({"type": "signature_delta", "signature": UNSIGNED}))
        self._open = False
        self._blocks += 1
        return end

    def _start(self) -> list[MessageEvent]:
        if self._started:
            return []
        self._started = True
        message = message_start(self._response, usage=self._usage)
        return [_event({"type": "message_start", "message": message}), PING]

    def _end(self, response: Json) -> list[MessageEvent]:
        check_answered(response)
        if not self._started:
            self._usage = response["usage"]
        # An item that was cut short has no event of its own end.
        events = [*self._start(), *self._end_block()]
        usage = usage_of(response["usage"])
        end = {"type": "message_delta", "delta": stop_of(response), "usage": usage}
        events.append(_event(end))
        return [*events, _event({"type": "message_stop"})]
