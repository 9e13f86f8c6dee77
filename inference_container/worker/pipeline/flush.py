"""When to flush: latency where a person notices it, cost where nobody does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicy:
    """How far apart deltas are, by the age of the answer. All in seconds.

    The first token leaves at once. Deltas follow `first_s` apart for `steady_s`; then, over
    `ramp_s`, the interval grows to `last_s` and stays there.
    """

    first_s: float = 0.038
    last_s: float = 0.2
    steady_s: float = 1.0
    ramp_s: float = 0.5

    def interval(self, age_s: float) -> float:
        """Return the seconds from a delta to the next one, `age_s` after the first token."""
        progress = min(max((age_s - self.steady_s) / self.ramp_s, 0.0), 1.0)
        return self.first_s + (self.last_s - self.first_s) * progress
