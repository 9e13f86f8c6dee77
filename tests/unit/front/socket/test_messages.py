import pytest

from axon.exceptions import RequestError
from axon.protocol.requests import CancelResponse, CreateResponse
from front.bodies import Bodies
from front.socket.messages import ClientMessage, MessageReader


async def read_message(message: bytes, *, bodies: Bodies | None = None) -> ClientMessage:
    bodies = bodies or Bodies(max_bytes=20 * 2**20)
    return await MessageReader(bodies=bodies, tenant_id="t").read(message)


async def test_message_is_read_with_its_stream_id() -> None:
    read = await read_message(b'{"type":"response.create","model":"m","input":"x","stream_id":"s"}')
    assert isinstance(read.event, CreateResponse)
    assert (read.stream_id, read.at_once) == ("s", False)
    read = await read_message(b'{"type":"response.cancel","response_id":"resp_1"}')
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
async def test_message_that_is_refused_keeps_its_stream_id(
    text: bytes, stream_id: str | None, at_once: bool, code: str
) -> None:
    read = await read_message(text)
    assert isinstance(read.event, RequestError)
    assert (read.stream_id, read.at_once, read.event.code) == (stream_id, at_once, code)


async def test_message_is_counted_until_it_is_released() -> None:
    bodies = Bodies(max_bytes=20 * 2**20)
    long = b'{"type":"response.create","model":"m","input":"%b"}' % (b"x" * 2**20)
    read = await read_message(long, bodies=bodies)
    assert bodies.held_of_sockets.count == len(long)
    assert 4 * len(long) < bodies.decoded.held < 4.1 * len(long)
    assert isinstance(read.take(), CreateResponse)
    read.release()
    assert (bodies.held_of_sockets.count, bodies.decoded.held) == (0, 0)
    for wrong in (b"{", b"[" + b"{}," * 200_000):
        assert isinstance((await read_message(wrong, bodies=bodies)).event, RequestError)
        assert (bodies.held_of_sockets.count, bodies.decoded.held) == (0, 0)
