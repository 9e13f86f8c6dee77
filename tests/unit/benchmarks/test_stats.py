import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats import first_second_gap, gaps, percentile


def test_percentile_is_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0, 3.0], 99) == 3.0


def test_percentile_of_nothing_is_nan() -> None:
    assert math.isnan(percentile([], 50))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_percentile_is_one_of_the_values_and_covers_its_rank(
    values: list[float], rank: float
) -> None:
    found = percentile(values, rank)
    assert found in values
    assert sum(value <= found for value in values) >= rank / 100 * len(values) - 1e-9


def test_gaps_are_between_successive_moments() -> None:
    assert gaps([1.0, 3.0, 3.5]) == [2.0, 0.5]
    assert gaps([1.0]) == []


def test_first_second_gap_ignores_later_gaps() -> None:
    assert first_second_gap([5.0, 5.03, 5.98, 6.5, 9.0]) == pytest.approx(0.95)
    assert first_second_gap([5.0, 5.9, 7.9, 8.0]) == pytest.approx(2.0)
    assert math.isnan(first_second_gap([5.0]))
