"""A response that has ended, as the message of Anthropic's API."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from axon.ids import same_id
from axon.protocol.anthropic.call_ids import tool_use_id_of
from axon.protocol.anthropic.errors import check_answered
from axon.protocol.objects import STOP_SEQUENCE, Json

NO_USAGE: Json = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
INVALID_JSON = "INVALID_JSON"
"""Key under which a tool's input holds what the model wrote where that is no JSON object, as
Anthropic's documentation of fine-grained tool streaming proposes."""
UNSIGNED = "unsigned"
"""Signature of each block of thinking. Programs send thinking back only if it has one, and here
there is nothing to prove: a client may send any text as an earlier answer's."""
_STOP_REASONS = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


def message_of(response: Json, *, thinking: bool = False) -> Json:
    """Return the message for a response that has ended.

    Parameters
    ----------
    response : Json
        The response as its terminal event shows it.
    thinking : bool
        The client is to get the model's thinking.

    Raises
    ------
    RequestError
        The response has no answer to show: it has failed, or was cancelled.
    """
    check_answered(response)
    return message_start(response, usage=response["usage"]) | {
        "content": list(content_of(response["output"], thinking=thinking)),
        **stop_of(response),
    }


def message_start(response: Json, *, usage: Json | None) -> Json:
    """Return a response's message before its first content.

    Its id is the response's under another prefix, so that either can be found by the other.

    Parameters
    ----------
    response : Json
        The response.
    usage : Json | None
        What it has used so far, as a response shows it; None if that is not known.
    """
    return {
        "id": same_id("msg", response["id"]),
        "type": "message",
        "role": "assistant",
        "model": response["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_of(usage) | {"service_tier": _tier(response)},
    }


def content_of(output: list[Json], *, thinking: bool) -> Iterator[Json]:
    """Yield a content block for each output item that has something to show.

    Thinking is the reasoning's text; a summary repeats it and is left out.
    """
    for item in output:
        match item["type"]:
            case "message":
                if text := "".join(part.get("text", "") for part in item["content"]):
                    yield text_block(text)
            case "reasoning":
                text = "".join(part["text"] for part in item.get("content") or ())
                if text and thinking:
                    yield thinking_block(text)
            case "function_call":
                yield tool_use_block(item, tool_input=_tool_input(item["arguments"]))


def text_block(text: str) -> Json:
    """Return a block of text."""
    return {"type": "text", "text": text}


def thinking_block(text: str, *, signature: str = UNSIGNED) -> Json:
    """Return a block of thinking."""
    return {"type": "thinking", "thinking": text, "signature": signature}


def tool_use_block(item: Json, *, tool_input: Json) -> Json:
    """Return the block of a call."""
    call_id = tool_use_id_of(item["call_id"])
    return {"type": "tool_use", "id": call_id, "name": item["name"], "input": tool_input}


def stop_of(response: Json) -> Json:
    """Return why a completed or incomplete response has ended, and which stop string ended it."""
    stop = next((item[STOP_SEQUENCE] for item in response["output"] if STOP_SEQUENCE in item), None)
    return {"stop_reason": _stop_reason(response, stop), "stop_sequence": stop}


def _stop_reason(response: Json, stop: str | None) -> str:
    if details := response["incomplete_details"]:
        return _STOP_REASONS.get(details["reason"], "end_turn")
    if stop is not None:
        return "stop_sequence"
    calls = any(item["type"] == "function_call" for item in response["output"])
    return "tool_use" if calls else "end_turn"


def usage_of(usage: Json | None) -> Json:
    """Return the tokens of a response; those that a cache had are counted apart, as the API does.

    All are 0 where none are known.
    """
    if usage is None:
        return NO_USAGE
    details = usage["input_tokens_details"]
    cached, written = details["cached_tokens"], details["cache_write_tokens"]
    return {
        "input_tokens": usage["input_tokens"] - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage["output_tokens"],
    }


def _tier(response: Json) -> str:
    return "priority" if response["service_tier"] == "priority" else "standard"


def _tool_input(arguments: str) -> Json:
    """Return a tool's input as SDKs read it from a stream, also where it was cut short."""
    if not arguments:
        return {}
    try:
        value: Any = from_json(arguments, allow_partial=True)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {INVALID_JSON: arguments}
