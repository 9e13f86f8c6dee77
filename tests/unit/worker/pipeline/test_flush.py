from itertools import pairwise

import pytest

from tests.unit.worker.settings_samples import FLUSH_POLICY
from worker.pipeline.flush import FlushPolicy

POLICY = FlushPolicy(first_s=0.03, last_s=0.2, steady_s=1.0, ramp_s=2.0)


@pytest.mark.parametrize(
    ("age_s", "interval_s"),
    [(0, 0.03), (1, 0.03), (2, 0.115), (3, 0.2), (100, 0.2)],
)
def test_flush_interval_grows_with_the_answer(age_s: float, interval_s: float) -> None:
    assert POLICY.interval(age_s) == pytest.approx(interval_s)


def test_flush_interval_has_the_limit_of_the_job() -> None:
    limited = POLICY.at_most(100)
    assert limited.interval(0) == 0.03
    assert limited.interval(100) == 0.1
    assert POLICY.at_most(10).interval(0) == 0.01
    assert POLICY.at_most(None) == POLICY


def test_flush_interval_never_shrinks() -> None:
    policy = FLUSH_POLICY
    intervals = [policy.interval(age / 10) for age in range(50)]
    assert all(earlier <= later for earlier, later in pairwise(intervals))
    assert intervals[0] <= 0.05
