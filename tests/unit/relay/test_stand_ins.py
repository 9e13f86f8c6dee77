"""Stand-ins for events that workers before ADR 21 wrote and no message carries."""

from typing import Any

import pytest

from axon.protocol.sizes import MESSAGE_BYTES
from axon.serialization import dumps, loads
from relay.stand_ins import stand_in

LONG = "é" * (MESSAGE_BYTES // 2)


def an_event(event_type: str, **response: Any) -> bytes:
    shown = {"id": "resp_1", "status": "completed", "instructions": None, "store": True}
    return dumps({"type": event_type, "sequence_number": 3, "response": shown | response})


@pytest.mark.parametrize("event_type", ["response.created", "response.completed"])
def test_stand_in_leaves_out_instructions_if_that_is_enough(event_type: str) -> None:
    shown = stand_in(an_event(event_type, instructions=LONG, tools=["t"]))
    assert shown == an_event(event_type, instructions=None, tools=["t"])


@pytest.mark.parametrize(
    "event",
    [
        an_event("response.created", tools=[LONG]),
        an_event("response.in_progress", tools=[LONG]),
        dumps({"type": "response.output_text.delta", "delta": LONG}),
        dumps({"type": "response.output_item.done", "item": {"text": LONG}}),
    ],
)
def test_stand_in_is_nothing_for_what_the_end_repeats(event: bytes) -> None:
    assert stand_in(event) is None


@pytest.mark.parametrize(
    ("event_type", "response", "told"),
    [
        ("response.completed", {}, "previous_response_id 'resp_1': "),
        ("response.incomplete", {"status": "cancelled"}, "has ended as cancelled"),
        ("response.incomplete", {"store": False}, "on the connection that asked for it"),
        ("response.failed", {"status": "failed"}, "Send the request again."),
    ],
)
def test_stand_in_of_the_end_names_the_response_its_state_and_the_remedy(
    event_type: str, response: dict[str, Any], told: str
) -> None:
    error = loads(stand_in(an_event(event_type, output=[LONG], **response)) or b"{}")
    assert (error["type"], error["code"]) == ("error", "event_too_large")
    assert error["response_id"] == "resp_1"
    assert "'resp_1' has ended as" in error["message"]
    assert told in error["message"]
