"""Holds events to the OpenAI SDK's own types, which the SDK itself does not."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from axon.event_log.log import LoggedEvent
from axon.serialization import loads

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

RESPONSE_FIELDS = {
    "id", "object", "created_at", "completed_at", "status", "incomplete_details", "model",
    "previous_response_id", "instructions", "output", "error", "tools", "tool_choice",
    "truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty",
    "frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage",
    "max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata",
    "safety_identifier", "prompt_cache_key",
}  # fmt: skip
ENDS = {"response.completed", "response.failed", "response.incomplete"}

# Fields of the Open Responses schema, or of the WebSocket protocol, that the SDK does not name.
_BEYOND_THE_SDK = {"stream_id", "store", "presence_penalty", "frequency_penalty"}


def validate(data: bytes) -> dict[str, Any]:
    """Check one event; return it decoded."""
    assert b"\n" not in data
    event = _EVENT.validate_json(data, strict=True)
    unknown = set(_unknown_fields(event)) - _BEYOND_THE_SDK
    assert not unknown, f"the SDK knows no {unknown}"
    decoded: dict[str, Any] = loads(data)
    if "response" in decoded:
        assert set(decoded["response"]) == RESPONSE_FIELDS
    return decoded


def validate_stream(
    events: Sequence[LoggedEvent], *, stream_id: str | None = None
) -> list[dict[str, Any]]:
    """Check a whole answer: each event, their numbers, ids and text. Return them decoded."""
    decoded = [validate(event.data) for event in events]
    assert [event["sequence_number"] for event in decoded] == list(range(len(decoded)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {event.get("stream_id") for event in decoded} == {stream_id}
    kinds = [event["type"] for event in decoded]
    assert kinds[0] == "response.created"
    assert [kind in ENDS for kind in kinds] == [False] * (len(kinds) - 1) + [True]
    _check_order(kinds)
    assert len({event["response"]["id"] for event in decoded if "response" in event}) == 1
    assert len(set(_item_ids(decoded))) <= 1
    _check_text(decoded)
    return decoded


def _check_order(kinds: list[str]) -> None:
    """Every step is there at most once (but deltas), after the one that it needs."""
    steps = [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done",
    ]  # fmt: skip
    positions = [steps.index(kind) for kind in kinds[:-1]]
    assert positions == sorted(positions)
    once = [kind for kind in kinds if kind != "response.output_text.delta"]
    assert len(once) == len(set(once))
    together = [step for step in steps[2:] if step != "response.output_text.delta"]
    present = [step for step in together if step in kinds]
    opened_only = together[:2]
    assert present in ([], opened_only, together)
    if kinds[-1] == "response.completed" and len(kinds) > 3:
        assert present == together


def _check_text(decoded: list[dict[str, Any]]) -> None:
    text = "".join(e["delta"] for e in decoded if e["type"] == "response.output_text.delta")
    for event in decoded:
        match event["type"]:
            case "response.output_text.done":
                assert event["text"] == text
            case "response.content_part.done":
                assert event["part"]["text"] == text
            case "response.output_item.done":
                assert event["item"]["content"][0]["text"] == text
                assert decoded[-1]["response"]["output"] == [event["item"]]
    output = decoded[-1]["response"]["output"]
    opened = any(event["type"] == "response.output_item.added" for event in decoded)
    assert len(output) == int(opened)
    if output:
        assert output[0]["content"][0]["text"] == text


def _item_ids(decoded: Iterable[dict[str, Any]]) -> Iterator[str]:
    for event in decoded:
        if "item_id" in event:
            yield event["item_id"]
        if "item" in event:
            yield event["item"]["id"]
        for item in event.get("response", {}).get("output", ()):
            yield item["id"]


def _unknown_fields(value: object) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        for name in type(value).model_fields:
            yield from _unknown_fields(getattr(value, name))
    elif isinstance(value, list):
        for part in value:
            yield from _unknown_fields(part)
