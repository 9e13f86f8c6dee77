"""The body of an answer that is not streamed: a ``chat.completion``."""

from collections.abc import Sequence

from axon.protocol.chat.objects import (
    CALLS,
    arguments_of,
    call_of,
    finish_reason_of,
    head_of,
    usage_of,
)
from axon.protocol.objects import Json


def completion_of(response: Json) -> Json:
    """Return the chat completion that a completed or incomplete response is shown as.

    All messages of the response are one message: their texts joined. Reasoning text is in
    `reasoning_content`, the field of DeepSeek's API that LiteLLM, SGLang, llama.cpp and most
    clients know (vLLM calls it `reasoning` since 0.11); summaries of reasoning have no place here.
    """
    choice = {
        "index": 0,
        "message": _message(response["output"]),
        "logprobs": None,
        "finish_reason": finish_reason_of(response),
    }
    head = head_of(response, kind="chat.completion")
    return head | {"choices": [choice], "usage": usage_of(response)}


def _message(output: Sequence[Json]) -> Json:
    calls = [call_of(item, arguments_of(item)) for item in output if item["type"] in CALLS]
    texts = [_text(item) for item in output if item["type"] == "message"]
    reasoning = "".join(_text(item) for item in output if item["type"] == "reasoning")
    content = "".join(texts) if texts or not calls else None
    message: Json = {"role": "assistant", "content": content, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _text(item: Json) -> str:
    return "".join(part["text"] for part in item["content"])
