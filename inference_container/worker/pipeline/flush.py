"""When to flush: latency where a person notices it, cost where nobody does."""

from dataclasses import dataclass
from typing import Self

from axon.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicy:
    """How far apart deltas are, by the age of the answer. All in seconds.

    The first token leaves at once. Deltas follow `first_s` apart for `steady_s`; then, over
    `ramp_s`, the interval grows to `last_s` and stays there.
    """

    first_s: float
    last_s: float
    steady_s: float
    ramp_s: float

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Return the policy that the settings say."""
        return cls(
            first_s=settings.flush_first_s,
            last_s=settings.flush_last_s,
            steady_s=settings.flush_steady_s,
            ramp_s=settings.flush_ramp_s,
        )

    def interval(self, age_s: float) -> float:
        """Return the seconds from a delta to the next one, `age_s` after the first token."""
        progress = min(max((age_s - self.steady_s) / self.ramp_s, 0.0), 1.0)
        return self.first_s + (self.last_s - self.first_s) * progress
