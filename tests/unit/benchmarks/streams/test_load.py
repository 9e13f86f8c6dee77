from dataclasses import replace
from time import perf_counter

import pytest

from benchmarks.model import Pace
from benchmarks.streams.load import lateness, run
from benchmarks.streams.model import StreamLoad, rank_ms
from tests.unit.benchmarks.mock_engine_harness import engine

RESPONSES = "/v1/responses"


def load(url: str, *, tokens: int = 10, lasts_s: float = 20.0) -> StreamLoad:
    """Twelve streams of 0.2 s, opened in 0.06 s; the second of two processes."""
    now = perf_counter()
    return StreamLoad(
        kind="responses",
        url=url,
        model="mock",
        tokens=tokens,
        token_s=0.02,
        streams=12,
        process=1,
        processes=2,
        opened_per_s=200,
        begin_at=now,
        from_at=now,
        to_at=now + lasts_s,
        until=now + lasts_s,
    )


async def test_load_opens_its_streams_and_counts_the_deltas_of_the_window() -> None:
    async with engine(Pace(ttft_ms=20, token_ms=20), path=RESPONSES) as url:
        given = load(url)
        whole = await run(given)
        outside = await run(replace(given, to_at=given.from_at, until=perf_counter() + 20))
    assert list(given.numbers) == [1, 3, 5, 7, 9, 11]
    assert given.opens_at(3) - given.begin_at == pytest.approx(0.015)
    assert (whole.finished, whole.failed) == (6, 0)
    assert whole.held == 0  # none began before the window, which began with the first opening
    assert whole.deltas == 60
    assert sum(whole.gaps.values()) == 54
    assert rank_ms(whole.gaps, 50) >= 10
    assert min(whole.first_tokens_ms) >= 19
    assert (outside.finished, outside.deltas, outside.gaps) == (6, 0, {})


async def test_load_tells_wrong_and_endless_answers() -> None:
    async with engine(Pace(ttft_ms=0, token_ms=0), path=RESPONSES) as url:
        wrong = await run(load(url, tokens=-1))
    async with engine(Pace(ttft_ms=3_600_000, token_ms=0), path=RESPONSES) as url:
        endless = await run(load(url, lasts_s=0.1))
    assert (wrong.finished, wrong.failed) == (endless.finished, endless.failed) == (0, 6)
    assert wrong.failures[0].startswith("WrongAnswerError")
    assert endless.failures[0] == "TimeoutError: the answer did not end"


def test_lateness_counts_from_the_most_punctual_delta() -> None:
    # Tokens 1; 2 and 3; 4: the first one is 0.2 s late, and the last one 0.05 s.
    late = lateness([1.2, 1.2, 1.35], ["1", " 2 3", " 4"], token_s=0.1)
    assert late == pytest.approx([0.2, 0.0, 0.05])
