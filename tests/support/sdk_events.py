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

# OpenAI's API sends this code, and agents look for it; the SDK's type of the code does not list it.
_OVERFLOW = b'"code":"context_length_exceeded"'
# Fields of the Open Responses schema, or of the WebSocket protocol, that the SDK does not name.
# `status` is that of a custom tool's call, which the API's own documentation has.
_BEYOND_THE_SDK = {"stream_id", "status", "store", "presence_penalty", "frequency_penalty"}


def validate(data: bytes) -> dict[str, Any]:
    """Check one event; return it decoded."""
    assert b"\n" not in data
    event = _EVENT.validate_json(data.replace(_OVERFLOW, b'"code":"invalid_prompt"'), strict=True)
    unknown = set(_unknown_fields(event)) - _BEYOND_THE_SDK
    assert not unknown, f"the SDK knows no {unknown}"
    decoded: dict[str, Any] = loads(data)
    if "response" in decoded:
        optional = {"conversation"} & set(decoded["response"])  # only of a named conversation
        assert set(decoded["response"]) == RESPONSE_FIELDS | optional
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


def validate_items(events: Sequence[LoggedEvent]) -> list[dict[str, Any]]:
    """Check an answer of any items: each event, places, texts, ends. Return the items at the end.

    Each kind of item's own order is `TextPart`'s and the items' to test; here the events of items
    follow one another, name their item by id and index, and add up to what the response shows.
    """
    decoded = [validate(event.data) for event in events]
    assert [event["sequence_number"] for event in decoded] == list(range(len(decoded)))
    output: list[dict[str, Any]] = decoded[-1]["response"]["output"]
    added = [e for e in decoded if e["type"] == "response.output_item.added"]
    done = [e for e in decoded if e["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == list(range(len(output)))
    assert [event["item"]["id"] for event in added] == [item["id"] for item in output]
    assert len({item["id"] for item in output}) == len(output)
    assert [event["item"] for event in done] == output[: len(done)]
    assert len(done) >= len(output) - 1
    opened = -1
    for event in decoded[:-1]:
        if event["type"] == "response.output_item.added":
            opened = event["output_index"]
        if "output_index" in event:
            assert event["output_index"] == opened
        if "item_id" in event:
            assert event["item_id"] == output[opened]["id"]
    for place, text in _texts(decoded).items():
        assert text == _shown(output[place[0]], place)
    return output


def _texts(decoded: list[dict[str, Any]]) -> dict[tuple[Any, ...], str]:
    """Join the deltas of each part; compare them with the event that ends the text."""
    texts: dict[tuple[Any, ...], str] = {}
    for event in decoded:
        stem, _, suffix = event["type"].rpartition(".")
        place = (event.get("output_index"), stem, event.get("content_index"),
                 event.get("summary_index"))  # fmt: skip
        if suffix == "delta":
            texts[place] = texts.get(place, "") + event["delta"]
        elif suffix == "done" and (name := event.keys() & {"text", "arguments", "input"}):
            assert texts.setdefault(place, "") == event[name.pop()]
    return texts


def _shown(item: dict[str, Any], place: tuple[Any, ...]) -> str:
    """Return the text that an item shows at a place."""
    _, _, content_index, summary_index = place
    if item["type"] in ("function_call", "custom_tool_call"):
        text: str = item["arguments" if item["type"] == "function_call" else "input"]
    elif summary_index is not None:
        text = item["summary"][summary_index]["text"]
    else:
        text = item["content"][content_index]["text"]
    return text


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
