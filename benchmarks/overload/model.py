"""Values of the overload benchmark: the plan, the flood and its result."""

from dataclasses import dataclass, field

from benchmarks.model import Measurement, Pace

COMPLETED, LOST = "completed", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """Input of the flood's process: `jobs` requests over `connections` sockets.

    Parameters
    ----------
    unconfirmed : int
        Requests that may wait for their first event at a time.
    limit_s : float
        Seconds after which a response that has not ended counts as lost.
    """

    url: str
    model: str
    jobs: int
    connections: int
    tokens: int
    unconfirmed: int
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodResult:
    """Result of the flood; moments in seconds since the first request.

    Parameters
    ----------
    outcomes : dict[str, int]
        Number of responses by how they ended.
    wrong : list[str]
        Responses with gaps, repetitions, a wrong text or more than one end.
    """

    outcomes: dict[str, int]
    accepted_at: list[float]
    completed_at: list[float]
    failed_at: list[float]
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of the servers: memory by process, and requests that wait in the worker."""

    second: float
    mb: dict[str, float]
    waiting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Parameters of a run."""

    jobs: int
    connections: int
    tokens: int
    pace: Pace
    slots: int
    prefetch: int
    deadline_s: float

    @property
    def answer_s(self) -> float:
        """Return the seconds that the engine needs for one answer."""
        return self.pace.ttft_s + (self.tokens - 1) * self.pace.token_s

    @property
    def capacity(self) -> float:
        """Return the answers per second that the engine can generate."""
        return self.slots / self.answer_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Measurements of a run; `before` is with just enough clients to keep every slot busy."""

    plan: Plan
    before: Measurement
    seen: FloodResult
    samples: list[Sample]
    idle_mb: float
    shed: dict[tuple[str, ...], float]
