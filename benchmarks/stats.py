"""Percentiles, and the gaps between the deltas of an answer."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise


def percentile(values: Iterable[float], rank: float) -> float:
    """Return the nearest-rank percentile, which is always one of the values.

    Parameters
    ----------
    rank : float
        0 < rank <= 100.

    Returns
    -------
    float
        nan without values.
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(rank / 100 * len(ordered)), 1) - 1]


def gaps(moments: Sequence[float]) -> list[float]:
    """Return the time between each delta and the next."""
    return [later - earlier for earlier, later in pairwise(moments)]


def first_second_gap(moments: Sequence[float]) -> float:
    """Return the largest gap that begins within 1 s of the first delta; nan with fewer than two."""
    return max(
        (b - a for a, b in pairwise(moments) if a - moments[0] <= 1.0),
        default=math.nan,
    )
