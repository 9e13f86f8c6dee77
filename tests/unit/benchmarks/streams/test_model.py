import math

import pytest

from benchmarks.streams.model import Plan, StreamsSeen, bucket, merged, rank_ms


def test_plan_lets_the_first_stream_outlive_the_window() -> None:
    plan = Plan(peers=(), streams=(100,), tokens_per_s=20, seconds=4, opened_per_s=50, processes=2)
    assert plan.pace.token_ms == plan.pace.ttft_ms == 50
    assert plan.opening_s(100) == 2
    # Opening 2 s, 2 s of rest, the window, 1 s to spare.
    assert plan.tokens(100) == 9 * 20


def test_merged_adds_up_what_processes_have_seen() -> None:
    one = StreamsSeen(held=1, finished=2, gaps={5: 1}, late={0: 2}, first_tokens_ms=[1.0])
    other = StreamsSeen(failed=1, gaps={5: 2, 7: 1}, first_tokens_ms=[2.0], failures=["x"])
    both = merged([one, other])
    assert (both.held, both.finished, both.failed, both.failures) == (1, 2, 1, ["x"])
    assert both.gaps == {5: 3, 7: 1}
    assert both.first_tokens_ms == [1.0, 2.0]


@pytest.mark.parametrize(("rank", "expected"), [(1, 0.1), (50, 0.1), (51, 100.0), (100, 100.0)])
def test_rank_ms_is_the_nearest_rank_of_counted_times(rank: float, expected: float) -> None:
    assert rank_ms({bucket(0.1): 1, bucket(0.0001): 1}, rank) == expected


def test_rank_ms_of_nothing_is_not_a_number() -> None:
    assert math.isnan(rank_ms({}, 50))
