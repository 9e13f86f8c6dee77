"""Percentiles and the figures of one answer's rhythm."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise


def percentile(values: Iterable[float], rank: float) -> float:
    """Nearest-rank percentile, so always a value that was seen; nan of nothing.

    Parameters
    ----------
    rank
        0 < rank <= 100.
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(rank / 100 * len(ordered)), 1) - 1]


def gaps(moments: Sequence[float]) -> list[float]:
    """Time between each delta and the next."""
    return [later - earlier for earlier, later in pairwise(moments)]


def first_second_gap(moments: Sequence[float]) -> float:
    """Largest gap that begins within a second of the first delta; nan with fewer than two."""
    return max(
        (b - a for a, b in pairwise(moments) if a - moments[0] <= 1.0),
        default=math.nan,
    )
