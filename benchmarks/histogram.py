"""Histograms of Prometheus and their percentiles."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram, as Prometheus has it.

    Parameters
    ----------
    bounds : tuple[float, ...]
        Upper bounds of the buckets; the last one is infinite.
    counts : tuple[float, ...]
        Observations up to each bound.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def count(self) -> float:
        """Return the number of observations."""
        return self.counts[-1]

    def since(self, before: "Histogram | None") -> "Histogram":
        """Return the observations since `before` was read."""
        if before is None:
            return self
        pairs = zip(self.counts, before.counts, strict=True)
        return Histogram(self.bounds, tuple(now - then for now, then in pairs))

    def share_within(self, bound: float) -> float:
        """Return the share of observations up to the largest bucket bound within `bound`."""
        if not self.count:
            return math.nan
        within = [n for upper, n in zip(self.bounds, self.counts, strict=True) if upper <= bound]
        return (within[-1] if within else 0.0) / self.count

    def percentile(self, rank: float) -> float:
        """Return a percentile, interpolated in its bucket like Prometheus's histogram_quantile.

        Parameters
        ----------
        rank : float
            0 < rank <= 100.

        Returns
        -------
        float
            nan without observations.
        """
        if not self.count:
            return math.nan
        wanted, lower, below = self.count * rank / 100, 0.0, 0.0
        for upper, count in zip(self.bounds, self.counts, strict=True):
            if count >= wanted:
                if math.isinf(upper):
                    return lower
                return lower + (upper - lower) * (wanted - below) / (count - below)
            lower, below = upper, count
        return lower
