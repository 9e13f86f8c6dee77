"""Parts of Chat Completions' objects that a whole answer and its chunks have in common.

The older Completions have most of them, too.
"""

from typing import Any, Literal

from axon.ids import is_id
from axon.protocol.objects import Json
from axon.protocol.tools import model_name

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
"""Types of calls, and the fields of their input, by the types of output items."""
CHAT_PREFIX = "chatcmpl-"
TEXT_PREFIX = "cmpl-"
"""Prefixes of the ids of chat completions and of the older completions."""


def completion_id(response_id: str, prefix: str = CHAT_PREFIX) -> str:
    """Return the id of a response's view as a completion (`response_id_of` is its inverse)."""
    return prefix + response_id.removeprefix("resp_")


def response_id_of(completion_id: str, prefix: str = CHAT_PREFIX) -> str | None:
    """Return the id of the response that a completion is the view of.

    Returns
    -------
    str | None
        None if the id is not one of a completion with this prefix.
    """
    if not completion_id.startswith(prefix):
        return None
    response_id = "resp_" + completion_id.removeprefix(prefix)
    return response_id if is_id("resp", response_id) else None


def head_of(response: Json, *, kind: str, prefix: str = CHAT_PREFIX) -> Json:
    """Return the fields with which the object of this kind begins."""
    return {
        "id": completion_id(response["id"], prefix),
        "object": kind,
        "created": response["created_at"],
        "model": response["model"],
        "service_tier": response["service_tier"],
        "system_fingerprint": None,
    }


def finish_reason_of(response: Json) -> FinishReason:
    """Return why a response ended that is completed or incomplete."""
    if response["status"] == "incomplete":
        details: dict[str, Any] = response["incomplete_details"] or {}
        return "content_filter" if details.get("reason") == "content_filter" else "length"
    called = any(item["type"] in CALLS for item in response["output"])
    return "tool_calls" if called else "stop"


def call_of(item: Json, arguments: str) -> Json:
    """Return a call as this API shows it.

    Parameters
    ----------
    item : Json
        The call's output item.
    arguments : str
        The arguments or the input to show.
    """
    # This API has no namespaces: the name is the one that the model sees.
    name = model_name(item["name"], item.get("namespace"))
    kind, field = CALLS[item["type"]]
    return {"id": item["call_id"], "type": kind, kind: {"name": name, field: arguments}}


def arguments_of(call: Json) -> str:
    """Return the arguments of a call; those of a function's call without any are an empty object.

    Clients decode them as JSON. Those of a call that was cut short are as far as they came.
    """
    if call["type"] == "custom_tool_call":
        return str(call["input"])
    arguments: str = call["arguments"]
    return arguments or ("{}" if call["status"] == "completed" else "")


def usage_of(response: Json) -> Json | None:
    """Return the token counts of a response that has ended, None if they are not known."""
    usage = response["usage"]
    if usage is None:
        return None
    read, written = usage["input_tokens_details"], usage["output_tokens_details"]
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": read["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": written["reasoning_tokens"]},
    }
