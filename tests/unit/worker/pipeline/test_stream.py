import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.protocol.objects import Usage
from tests.support.virtual_time import now, run
from tests.unit.worker.settings_samples import FLUSH_POLICY
from worker.engines.protocol import EngineError, TokenChunk
from worker.pipeline.stream import Coalescer, Flush

POLICY = FLUSH_POLICY
Timed = list[tuple[float, Flush]]


class Engine:
    """Gives chunks, each after its own delay; notes when it was done and how it was left."""

    def __init__(
        self, chunks: Sequence[tuple[float, TokenChunk]], *, error: Exception | None = None
    ) -> None:
        self.done_at = -1.0
        self.closed = False
        self._chunks = chunks
        self._error = error

    async def generate(self) -> AsyncGenerator[TokenChunk, None]:
        try:
            for delay, chunk in self._chunks:
                await asyncio.sleep(delay)
                yield chunk
            self.done_at = now()
            if self._error:
                raise self._error
        finally:
            self.closed = True


def tokens(count: int, every_s: float) -> list[tuple[float, TokenChunk]]:
    """The first one is there at once, and the end with the last one."""
    chunks = [(every_s, TokenChunk(f"{index} ", (index,))) for index in range(count)]
    chunks[0] = (0.0, chunks[0][1])
    return [*chunks, (0.0, TokenChunk("", (), "stop"))]


async def collect(chunks: AsyncGenerator[TokenChunk, None], *, busy_s: float = 0.0) -> Timed:
    flushes: Timed = []
    async with aclosing(Coalescer(chunks, policy=POLICY).flushes()) as stream:
        async for flush in stream:
            flushes.append((now(), flush))
            await asyncio.sleep(busy_s)
    return flushes


def answer(flushes: Timed) -> tuple[str, list[int]]:
    text = "".join(flush.text for _, flush in flushes)
    return text, [token for _, flush in flushes for token in flush.token_ids]


def test_coalescer_loses_nothing_and_ends_with_the_finish_reason() -> None:
    flushes = run(collect(Engine(tokens(100, 0.01)).generate()))
    assert answer(flushes) == ("".join(f"{n} " for n in range(100)), list(range(100)))
    reasons = [flush.finish_reason for _, flush in flushes]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_coalescer_flushes_the_first_token_at_once_and_alone() -> None:
    flushes = run(collect(Engine([(0.5, TokenChunk("a", (1,))), *tokens(10, 0.001)]).generate()))
    at, first = flushes[0]
    assert at == pytest.approx(0.5)
    assert first == Flush("a", (1,), None)


def test_coalescer_joins_tokens_that_arrive_together() -> None:
    chunks = [(0.0, TokenChunk("a", (1,))), *[(0.001, TokenChunk("b", (2,)))] * 20]
    flushes = run(collect(Engine(chunks).generate()))
    assert [flush.text for _, flush in flushes] == ["a", "b" * 20]


def test_coalescer_flushes_slow_tokens_at_once() -> None:
    flushes = run(collect(Engine(tokens(5, 1.0)).generate()))
    assert [at for at, _ in flushes[:-1]] == [pytest.approx(float(n)) for n in range(5)]


def test_coalescer_keeps_the_intervals_of_the_policy() -> None:
    flushes = run(collect(Engine(tokens(5000, 0.001)).generate()))
    times = [at for at, _ in flushes[:-1]]
    for earlier, later in pairwise(times):
        assert later - earlier == pytest.approx(POLICY.interval(earlier), abs=0.002)


def test_coalescer_makes_at_most_82_deltas_of_500_tokens_at_50_per_second() -> None:
    flushes = run(collect(Engine(tokens(500, 0.02)).generate()))
    times = [at for at, flush in flushes if flush.text]
    assert len(times) <= 82
    first_second = [at for at in times if at <= 1.0]
    assert len(first_second) > 20
    assert max(later - earlier for earlier, later in pairwise(first_second)) <= 0.05
    assert max(later - earlier for earlier, later in pairwise(times)) <= 0.221


def test_coalescer_flushes_the_end_without_waiting() -> None:
    chunks = [(0.0, TokenChunk("a", (1,))), (0.001, TokenChunk("b", (2,), "stop"))]
    flushes = run(collect(Engine(chunks).generate()))
    assert [(at, flush.text) for at, flush in flushes] == [(0.0, "a"), (pytest.approx(0.001), "b")]


def test_coalescer_gathers_for_a_slow_consumer_without_blocking_the_engine() -> None:
    engine = Engine(tokens(500, 0.01))
    flushes = run(collect(engine.generate(), busy_s=1.0))
    assert engine.done_at == pytest.approx(4.99)
    assert len(flushes) <= 7
    assert answer(flushes)[1] == list(range(500))


def test_coalescer_keeps_half_a_character_for_its_other_half() -> None:
    chunks = [
        (0.0, TokenChunk("", (1,))),
        (0.1, TokenChunk("ö", (2,))),
        (0.1, TokenChunk("", (3,))),
        (0.1, TokenChunk("", (4,), "length")),
    ]
    flushes = run(collect(Engine(chunks).generate()))
    assert [flush for _, flush in flushes] == [
        Flush("ö", (1, 2), None),
        Flush("", (3, 4), "length"),
    ]
    assert flushes[0][0] == pytest.approx(0.1)


def test_coalescer_ends_with_the_usage() -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    chunks = [*tokens(3, 1.0)[:-1], (0.0, TokenChunk("", (), "stop", usage))]
    flushes = run(collect(Engine(chunks).generate()))
    assert [flush.usage for _, flush in flushes] == [None] * (len(flushes) - 1) + [usage]


def test_coalescer_of_an_empty_source_yields_nothing() -> None:
    assert run(collect(Engine([]).generate())) == []


def test_coalescer_of_a_lone_finish_reason_yields_it() -> None:
    flushes = run(collect(Engine([(0.0, TokenChunk("", (), "stop"))]).generate()))
    assert [flush for _, flush in flushes] == [Flush("", (), "stop")]


def test_coalescer_raises_an_error_after_everything_before_it() -> None:
    engine = Engine(tokens(3, 0.001)[:-1], error=EngineError("broken"))
    flushes: list[Flush] = []

    async def consume() -> None:
        async for flush in Coalescer(engine.generate(), policy=POLICY).flushes():
            flushes.append(flush)

    with pytest.raises(EngineError, match="broken"):
        run(consume())
    assert [flush.text for flush in flushes] == ["0 ", "1 2 "]
    assert engine.closed


def test_coalescer_raises_an_error_before_any_token() -> None:
    with pytest.raises(EngineError, match="broken"):
        run(collect(Engine([], error=EngineError("broken")).generate()))


def test_coalescer_that_is_closed_ends_the_generation() -> None:
    engine = Engine(tokens(1000, 0.02))

    async def consume_two() -> float:
        async with aclosing(Coalescer(engine.generate(), policy=POLICY).flushes()) as stream:
            async for flush in stream:
                if flush.token_ids[0]:
                    break
        return now()

    assert run(consume_two()) < 0.1
    assert engine.closed
    assert engine.done_at < 0


@pytest.mark.parametrize("at_s", [0.0, 0.3, 0.35, 1.01, 7.3])
def test_coalescer_that_is_stopped_flushes_what_was_generated(at_s: float) -> None:
    engine = Engine(tokens(500, 0.02))

    async def stop() -> Timed:
        coalescer = Coalescer(engine.generate(), policy=POLICY)
        asyncio.get_running_loop().call_later(at_s, coalescer.stop)
        flushes: Timed = []
        async with aclosing(coalescer.flushes()) as stream:
            async for flush in stream:
                flushes.append((now(), flush))
        assert coalescer.stopped
        assert coalescer.received == len(answer(flushes)[1])
        assert now() == pytest.approx(at_s)
        return flushes

    ids = answer(run(stop()))[1]
    assert ids == list(range(len(ids)))
    assert len(ids) == pytest.approx(at_s / 0.02, abs=1.01)
    assert engine.closed or not ids


def test_coalescer_that_is_stopped_before_it_begins_never_does() -> None:
    async def stop() -> None:
        coalescer = Coalescer(Engine(tokens(5, 0.02)).generate(), policy=POLICY)
        coalescer.stop()
        assert [flush async for flush in coalescer.flushes()] == []

    run(stop())


def test_coalescer_ends_the_generation_when_its_consumer_is_cancelled() -> None:
    engine = Engine(tokens(1000, 0.02))

    async def cancel() -> None:
        task = asyncio.create_task(collect(engine.generate()))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.closed

    run(cancel())
    assert engine.done_at < 0


@given(
    chunks=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.3, 2.0]),
            st.builds(
                TokenChunk,
                st.text(max_size=3),
                st.lists(st.integers(0, 9), max_size=3).map(tuple),
            ),
        ),
        max_size=30,
    ),
    busy_s=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_coalescer_keeps_any_chunks_whole(
    chunks: list[tuple[float, TokenChunk]], busy_s: float
) -> None:
    ended = [*chunks, (0.0, TokenChunk("", (), "stop"))]
    flushes = run(collect(Engine(ended).generate(), busy_s=busy_s))
    text = "".join(chunk.text for _, chunk in chunks)
    assert answer(flushes) == (text, [token for _, chunk in chunks for token in chunk.token_ids])
    assert all(flush.text for _, flush in flushes[:-1])
    assert flushes[-1][1].finish_reason == "stop"
