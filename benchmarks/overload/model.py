"""The words of the overload: a flood, and what its clients saw of it."""

from dataclasses import dataclass, field

from benchmarks.model import Measurement, Pace

COMPLETED, LOST = "completed", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What the flood's process is told: `jobs` requests over `connections` sockets.

    No more than `unconfirmed` requests wait for their first event at a time. What has not ended
    after `limit_s` counts as lost.
    """

    url: str
    model: str
    jobs: int
    connections: int
    tokens: int
    unconfirmed: int
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the clients saw; moments in seconds since the first request.

    `outcomes` counts responses by how they ended; `wrong` are those with gaps, repetitions, a
    wrong text or more than one end.
    """

    outcomes: dict[str, int]
    accepted_at: list[float]
    completed_at: list[float]
    failed_at: list[float]
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the servers: their memory, and the requests that wait in the worker."""

    second: float
    mb: dict[str, float]
    waiting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    jobs: int
    connections: int
    tokens: int
    pace: Pace
    slots: int
    prefetch: int
    deadline_s: float

    @property
    def answer_s(self) -> float:
        """What the engine needs for one answer."""
        return self.pace.ttft_s + (self.tokens - 1) * self.pace.token_s

    @property
    def capacity(self) -> float:
        """Answers a second that the engine can give."""
        return self.slots / self.answer_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a run measured; `before` with no more asked at a time than keeps every slot busy."""

    plan: Plan
    before: Measurement
    seen: Seen
    samples: list[Sample]
    idle_mb: float
    turned_away: dict[tuple[str, ...], float]
