import pytest

from axon.exceptions import RequestError
from axon.protocol.requests import CancelResponse, CreateResponse
from axon.serialization import dumps, loads
from front.socket.messages import labelled, read_message

PLAIN = {"type": "response.created", "response": {"metadata": {"a": "1", "stream_id": "x"}}}


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


@pytest.mark.parametrize("logged", [None, "first", 'with "quotes" and ü'])
@pytest.mark.parametrize("asked", [None, "first", "other", 'with "quotes" and ü'])
def test_event_gets_the_stream_id_of_its_request(logged: str | None, asked: str | None) -> None:
    def data(stream_id: str | None) -> bytes:
        return dumps(PLAIN if stream_id is None else PLAIN | {"stream_id": stream_id})

    assert loads(labelled(data(logged), asked)) == loads(data(asked))
    assert labelled(data(asked), asked) == data(asked)
