import pytest

from benchmarks.streams.idle_load import IdleStreams
from benchmarks.streams.idle_model import IdleLoad
from tests.unit.benchmarks.streams.idle_harness import IdleServer


def load(url: str, *, kind: str = "responses") -> IdleLoad:
    """Nine streams, of which the second of two processes opens four; each third is cut."""
    return IdleLoad(
        kind=kind,
        url=url,
        model="m",
        streams=9,
        process=1,
        processes=2,
        opened_per_s=1000,
        resumed_every=3,
    )


async def test_idle_streams_wait_and_go_on_after_a_cut_with_the_next_event() -> None:
    server = IdleServer()
    async with server.serve() as url:
        streams = IdleStreams(load(url))
        await streams.open()
        streams.begin_window()
        streams.end_window()
        await streams.cut_and_resume()
        server.released.set()
        seen = await streams.result()
    assert (seen.opened, seen.answered, seen.failures) == (4, 4, [])
    assert seen.resumed == 1  # stream 3 of 1, 3, 5 and 7
    assert [after for _, after in server.resumed] == [0]


@pytest.mark.parametrize("skip", [1, 4])
async def test_idle_streams_tell_an_answer_that_is_not_whole_after_a_cut(skip: int) -> None:
    server = IdleServer(skip=skip)
    async with server.serve() as url:
        streams = IdleStreams(load(url))
        await streams.open()
        await streams.cut_and_resume()
        server.released.set()
        seen = await streams.result()
    assert (seen.opened, seen.answered, len(seen.failures)) == (4, 3, 1)
    assert seen.failures[0].startswith("WrongAnswerError")
