import pytest

from axon.exceptions import RequestError
from axon.protocol.requests import CancelResponse, CreateResponse
from front.socket.messages import read_message


def test_message_is_read_with_its_stream_id() -> None:
    read = read_message(b'{"type":"response.create","model":"m","input":"x","stream_id":"s"}')
    assert isinstance(read.event, CreateResponse)
    assert (read.stream_id, read.at_once) == ("s", False)
    read = read_message(b'{"type":"response.cancel","response_id":"resp_1"}')
    assert isinstance(read.event, CancelResponse)
    assert (read.stream_id, read.at_once) == (None, True)


@pytest.mark.parametrize(
    ("text", "stream_id", "at_once", "code"),
    [
        (b"no JSON", None, False, "invalid_json"),
        (b'{"type":"\xff"}', None, False, "invalid_json"),
        (b'{"type":["response.cancel"],"stream_id":"s"}', "s", False, "unknown_event_type"),
        (
            b'{"type":"response.create","input":1,"stream_id":"s"}',
            "s",
            False,
            "missing_required_parameter",
        ),
        (b'{"type":"response.cancel","stream_id":"s"}', "s", True, "missing_required_parameter"),
    ],
)
def test_message_that_is_refused_keeps_its_stream_id(
    text: bytes, stream_id: str | None, at_once: bool, code: str
) -> None:
    read = read_message(text)
    assert isinstance(read.event, RequestError)
    assert (read.stream_id, read.at_once, read.event.code) == (stream_id, at_once, code)
