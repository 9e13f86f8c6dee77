"""Requests and answers at the limits of API Gateway's messages, through every part (ADR 21)."""

import json
from typing import Any

from websockets.sync.connection import Connection

from axon.protocol.sizes import MESSAGE_BYTES
from tests.e2e.cloud import Cloud
from tests.e2e.test_bad_input import body, open_socket

ENDS = {"response.completed", "response.incomplete", "response.failed", "error"}
FRAME_CHARACTERS = 30_000
TOOL = {"type": "function", "description": "d" * 900, "parameters": {"type": "object"}}


def ask(socket: Connection, **fields: Any) -> list[dict[str, Any]]:
    """Send a request in frames that the gateway takes; return the events up to the end."""
    message = body(**fields)
    starts = range(0, len(message), FRAME_CHARACTERS)
    socket.send(message[start : start + FRAME_CHARACTERS] for start in starts)
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in ENDS:
        data = socket.recv(timeout=20, decode=False)
        assert len(data) <= MESSAGE_BYTES
        events.append(json.loads(data))
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the text of the deltas, which must be that of the end."""
    text = "".join(event.get("delta", "") for event in events)
    (item,) = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == text
    return text


def test_gateway_gets_an_answer_that_outgrows_a_message_up_to_there_and_its_end(
    cloud: Cloud,
) -> None:
    words = [f"{number:x>999}" for number in range(131)]
    # With escapes, the answer needs more than a message, and the request hardly less.
    asked = " ".join(words)[: MESSAGE_BYTES - len(body(input="")) - 100] + '"' * 50
    with open_socket(cloud) as socket:
        events = ask(socket, input=asked)
        response = events[-1]["response"]
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["usage"]["output_tokens"] > 125
        text = text_of(events)
        assert asked.startswith(text)
        assert len(text) > 127_000
        assert sum("delta" in event for event in events) > 1
        following = ask(socket, input="go on", previous_response_id=response["id"])
        assert text_of(following) == "go on"
        assert following[-1]["response"]["usage"]["input_tokens"] > 250


def test_gateway_names_what_is_too_large_for_any_answer(cloud: Cloud) -> None:
    with open_socket(cloud) as socket:
        tools = [TOOL | {"name": f"f{number}"} for number in range(125)]
        (error,) = ask(socket, tools=tools, stream_id="s")
        assert (error["code"], error["param"]) == ("request_too_large", "tools")
        assert error["stream_id"] == "s"
        assert text_of(ask(socket, tools=tools[:100])) == "hi"
