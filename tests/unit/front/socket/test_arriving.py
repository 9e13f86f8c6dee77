import random

import pytest

from front.bodies import Bodies
from front.socket.arriving import ArrivingMessages
from tests.unit.front.socket.test_connection import BINARY, CONTINUATION, PING, TEXT, frame

MOST = 1_000_000


def bodies() -> Bodies:
    return Bodies(max_bytes=MOST, held_bytes=MOST)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 400, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("pieces", [1, 7, 500])
def test_arriving_messages_are_held_until_they_are_complete(size: int, pieces: int) -> None:
    counted = bodies()
    arriving = ArrivingMessages(counted)
    stream = b"".join(
        (
            frame(TEXT, b"whole"),
            frame(TEXT, b"x" * size, last=False),
            frame(PING, b"?" * 100),
            frame(CONTINUATION, b"y" * 10, last=False),
        )
    )
    cuts = sorted(random.Random(size).choices(range(len(stream)), k=pieces - 1))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        assert arriving.feed(stream[start:end])
    assert counted.held == size + 10
    assert arriving.feed(frame(CONTINUATION, b"z"))
    assert counted.held == 0
    assert arriving.feed(frame(BINARY, b"b" * 70_000)[:-1])
    assert counted.held == 69_999
    arriving.release()
    assert counted.held == 0


def test_arriving_messages_are_refused_when_the_process_holds_too_much() -> None:
    counted = bodies()
    first, second = ArrivingMessages(counted), ArrivingMessages(counted)
    assert first.feed(frame(TEXT, b"x" * MOST)[:-MOST] + b"x" * (MOST - 10))
    assert not second.feed(frame(TEXT, b"x" * 20))
    assert second.refused is not None
    assert not second.feed(b"x")
    second.release()
    first.release()
    assert counted.held == 0
