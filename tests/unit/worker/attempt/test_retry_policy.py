"""The delay of jobs that found no room, and the reasons for which no other attempt follows."""

import pytest

from worker.attempt.retry_policy import delay_s, no_retry_reason


@pytest.mark.parametrize(
    ("receives", "least", "most"), [(1, 1, 2), (2, 2, 4), (4, 8, 16), (5, 15, 30), (5000, 15, 30)]
)
def test_delay_doubles_up_to_half_a_minute(receives: int, least: int, most: int) -> None:
    delays = {delay_s(receives) for _ in range(300)}
    assert min(delays) >= least
    assert max(delays) <= most
    assert len(delays) > 1


@pytest.mark.parametrize(
    ("receives", "left_ms", "why"),
    [
        (1, 600_000, None),
        (2, 600_000, None),
        (3, 600_000, "receives"),
        (4, 600_000, "receives"),
        (1, 2001, None),
        (1, 2000, "deadline"),
        (2, 4000, "deadline"),
        (2, -1, "deadline"),
        (3, 10, "receives"),
    ],
)
def test_retry_is_impossible_after_the_last_receive_or_near_the_deadline(
    receives: int, left_ms: int, why: str | None
) -> None:
    assert no_retry_reason(receive_count=receives, max_receives=3, left_ms=left_ms) == why


@pytest.mark.parametrize(("receives", "least", "most"), [(1, 60, 61), (5, 60, 75), (5000, 60, 75)])
def test_delay_ends_after_the_wait_of_a_busy_engine(receives: int, least: int, most: int) -> None:
    delays = {delay_s(receives, wait_s=60) for _ in range(300)}
    assert min(delays) >= least
    assert max(delays) <= most
    assert len(delays) > 1


def test_retry_is_impossible_when_the_engine_is_busy_until_the_deadline() -> None:
    reasons = [
        no_retry_reason(receive_count=1, max_receives=50, left_ms=left_ms, wait_s=60)
        for left_ms in (62_000, 62_001)
    ]
    assert reasons == ["deadline", None]
