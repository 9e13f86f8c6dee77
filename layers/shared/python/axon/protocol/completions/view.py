"""The answer of Completions: a ``text_completion``, whole or in chunks of the same shape."""

from typing_extensions import override

from axon.protocol.chat.chunks import ChunkEncoder, ChunkStream
from axon.protocol.chat.errors import check_answered, error_body
from axon.protocol.chat.objects import TEXT_PREFIX, finish_reason_of, head_of, usage_of
from axon.protocol.chat.stream import DONE
from axon.protocol.objects import TERMINAL_EVENTS, Json

_KIND = "text_completion"
_NAMES = {"input": "prompt", "max_output_tokens": "max_tokens"}
"""Fields of a Responses request by their names here."""


class TextStream(ChunkStream):
    """Translates the events of one response, from event 0 on, to the data of SSE events.

    Joined, the texts of the chunks are the text of `completion_of`.
    """

    def __init__(self, *, include_usage: bool = False, index: int = 0) -> None:
        super().__init__(include_usage=include_usage, index=index)
        self._chunks: ChunkEncoder

    @override
    def feed(self, event: Json, *, last: bool = True) -> list[bytes]:
        match event["type"]:
            case "response.output_text.delta":
                return [self._chunk(event["delta"], None)]
            case "response.created":
                head = _head(event["response"])
                self._chunks = ChunkEncoder(head, include_usage=self._include_usage)
                return []
            case kind if kind in TERMINAL_EVENTS:
                return self._end(event["response"], last=last)
            case _:
                return []

    def _end(self, response: Json, *, last: bool) -> list[bytes]:
        check_answered(response)
        chunk = self._chunk("", finish_reason_of(response))
        return [chunk, *self._chunks.usage(response), DONE] if last else [chunk]

    def _chunk(self, text: str, reason: str | None) -> bytes:
        return self._chunks.chunk(_choice(text, reason) | {"index": self._index})


def completion_of(response: Json) -> Json:
    """Return the completion that a completed or incomplete response is shown as."""
    messages = (item for item in response["output"] if item["type"] == "message")
    text = "".join(part["text"] for message in messages for part in message["content"])
    choice = _choice(text, finish_reason_of(response))
    return _head(response) | {"choices": [choice], "usage": usage_of(response)}


def text_error(error: Exception) -> tuple[int, Json]:
    """Return the status and the body of the answer to a request that failed."""
    return error_body(error, names=_NAMES)


def _head(response: Json) -> Json:
    head = head_of(response, kind=_KIND, prefix=TEXT_PREFIX)
    del head["service_tier"]  # which this API does not have
    return head


def _choice(text: str, reason: str | None) -> Json:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": reason}
