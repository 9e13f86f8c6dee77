"""Wrong input on a real connection: the client gets an error, and the connection stays usable."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.e2e.cloud import API_KEY, Cloud


def open_socket(cloud: Cloud, key: str = API_KEY) -> Connection:
    return connect(
        cloud.websocket_url,
        additional_headers={"Authorization": f"Bearer {key}"},
        proxy=None,
        compression=None,
    )


def receive(socket: Connection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return event


def body(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "model": "echo", "input": "hi", **fields})


WRONG = [
    ("{not json", "invalid_json", None),
    ("[1, 2]", "invalid_json", None),
    ('{"model": "echo"}', "missing_required_parameter", "type"),
    ('{"type": "response.dance"}', "unknown_event_type", "type"),
    ('{"type": "response.create", "input": "hi"}', "missing_required_parameter", "model"),
    (body(metadata={"k": "v" * 600}), "string_above_max_length", "metadata.k"),
    (body(max_output_tokens=0), "invalid_value", "max_output_tokens"),
    (body(input=[{"role": "user", "content": [{"type": "input_image"}]}]), "invalid_value",
     "input.0.content.0"),
    (body(model="no-such-model"), "model_not_found", "model"),
    (body(previous_response_id="resp_nope"), "previous_response_not_found",
     "previous_response_id"),
    (body(input=[{"type": "function_call_output", "call_id": "call_1", "output": "x"}]),
     "tool_call_not_found", "input"),
    ('{"type": "response.cancel", "response_id": "resp_nope"}', "response_not_found",
     "response_id"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "code", "param"), WRONG)
def test_gateway_explains_a_wrong_message_and_keeps_the_connection(
    cloud: Cloud, message: str, code: str, param: str | None
) -> None:
    with open_socket(cloud) as socket:
        socket.send(message)
        event = receive(socket)
        assert event["type"] == "error"
        assert (event["code"], event["param"]) == (code, param)
        assert event["error"]["code"] == code
        assert event["error"]["message"] == event["message"]
        assert event["status"] in (400, 404)
        # The connection is still usable.
        socket.send(body())
        while (event := receive(socket))["type"] != "response.completed":
            assert event["type"] != "error"


def test_error_event_carries_the_stream_id(cloud: Cloud) -> None:
    with open_socket(cloud) as socket:
        socket.send(body(model=5, stream_id="s-1"))
        assert receive(socket)["stream_id"] == "s-1"


@pytest.mark.parametrize("key", ["sk-axon-wrong", ""])
def test_handshake_refuses_a_wrong_key(cloud: Cloud, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(cloud, key=key):
        pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(("message", "close_code"), [(b"\x00\x01", 1003), ("x" * 33_000, 1009)])
def test_connection_closes_for_frames_that_api_gateway_refuses(
    cloud: Cloud, message: str | bytes, close_code: int
) -> None:
    with open_socket(cloud) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == close_code
