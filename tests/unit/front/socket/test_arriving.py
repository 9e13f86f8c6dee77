import asyncio
import random
from collections.abc import Callable

import pytest

from front.bodies import BODY_S
from front.memory import HeldBytes
from front.socket.arriving import ArrivingMessages
from tests.support import virtual_time
from tests.unit.front.socket.test_connection import BINARY, CONTINUATION, PING, TEXT, frame

MOST = 1_000_000


def held() -> HeldBytes:
    return HeldBytes(most=MOST, longest=MOST)


def a_socket(
    counted: HeldBytes, *, tenant_id: str = "a", late: Callable[[], None] = lambda: None
) -> ArrivingMessages:
    return ArrivingMessages(counted, tenant_id=tenant_id, late=late)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 400, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("pieces", [1, 7, 500])
async def test_arriving_messages_are_held_until_they_are_read(size: int, pieces: int) -> None:
    counted = held()
    arriving = a_socket(counted)
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
    assert counted.count == 5 + size + 10
    assert arriving.feed(frame(CONTINUATION, b"z"))
    arriving.take(5)
    assert counted.count == size + 11
    arriving.take(size + 11)
    assert counted.count == 0
    assert arriving.feed(frame(BINARY, b"b" * 70_000)[:-1])
    assert counted.count == 69_999
    arriving.release()
    assert counted.count == 0


async def test_arriving_messages_are_refused_when_the_process_holds_too_much() -> None:
    counted = held()
    first, second = a_socket(counted), a_socket(counted, tenant_id="b")
    assert first.feed(frame(TEXT, b"x" * MOST)[:-MOST] + b"x" * (MOST - 10))
    assert not second.feed(frame(TEXT, b"x" * 20))
    assert second.refused is not None
    assert not second.feed(b"x")
    second.release()
    first.release()
    assert counted.count == 0


def test_arriving_message_that_takes_too_long_is_refused_whatever_still_comes() -> None:
    async def run() -> None:
        late = list[float]()
        arriving = a_socket(held(), late=lambda: late.append(virtual_time.now()))
        for _ in range(3):  # each in time, and longer together
            assert arriving.feed(frame(TEXT, b"x" * 400)[:-1])
            await asyncio.sleep(BODY_S - 1)
            assert arriving.feed(b"x")
        await asyncio.sleep(BODY_S)
        assert not late
        began = virtual_time.now()
        assert arriving.feed(frame(TEXT, b"x" * 400, last=False))
        for _ in range(9):
            await asyncio.sleep(BODY_S / 10)
            assert arriving.feed(frame(CONTINUATION, b"x", last=False) + frame(PING, b"?"))
        await asyncio.sleep(BODY_S)
        assert late == [began + BODY_S]
        assert arriving.refused is not None
        assert not arriving.feed(b"x")

    virtual_time.run(run())
