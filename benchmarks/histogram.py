"""A histogram as Prometheus has it, and its percentiles."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """Upper bounds of the buckets, the last one infinite, and how many observations are up to each.

    Buckets are cumulative, as Prometheus has them.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def count(self) -> float:
        return self.counts[-1]

    def since(self, before: "Histogram | None") -> "Histogram":
        """What was observed after `before` was read."""
        if before is None:
            return self
        pairs = zip(self.counts, before.counts, strict=True)
        return Histogram(self.bounds, tuple(now - then for now, then in pairs))

    def share_within(self, bound: float) -> float:
        """Share of the observations up to the largest bucket's bound that is at most `bound`."""
        if not self.count:
            return math.nan
        within = [n for upper, n in zip(self.bounds, self.counts, strict=True) if upper <= bound]
        return (within[-1] if within else 0.0) / self.count

    def percentile(self, rank: float) -> float:
        """Interpolated within its bucket, as Prometheus does it; nan of nothing.

        Parameters
        ----------
        rank
            0 < rank <= 100.
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
