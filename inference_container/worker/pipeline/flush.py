"""FlushPolicy: short intervals where a reader notices them, long ones where they only cost."""

from dataclasses import dataclass, replace
from typing import Self

from axon.engine_settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicy:
    """Interval between the deltas of an answer, by its age.

    The first token is flushed at once. The interval is `first_s` for the first `steady_s`, grows
    linearly to `last_s` within the next `ramp_s`, and stays there.

    Parameters
    ----------
    first_s : float
        First interval, in seconds.
    last_s : float
        Last interval, in seconds.
    steady_s : float
        Age of the answer at which the interval begins to grow, in seconds.
    ramp_s : float
        Duration of the growth, in seconds.
    """

    first_s: float
    last_s: float
    steady_s: float
    ramp_s: float

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Return the policy of the settings."""
        return cls(
            first_s=settings.flush_first_s,
            last_s=settings.flush_last_s,
            steady_s=settings.flush_steady_s,
            ramp_s=settings.flush_ramp_s,
        )

    def at_most(self, limit_ms: int | None) -> Self:
        """Return the policy with no interval above a limit in milliseconds; None for no limit."""
        if limit_ms is None:
            return self
        limit_s = limit_ms / 1000
        return replace(self, first_s=min(self.first_s, limit_s), last_s=min(self.last_s, limit_s))

    def interval(self, age_s: float) -> float:
        """Return the seconds from a delta to the next one, `age_s` after the first token."""
        progress = min(max((age_s - self.steady_s) / self.ramp_s, 0.0), 1.0)
        return self.first_s + (self.last_s - self.first_s) * progress
