"""The words of the benchmark: a pace, a cell, what one answer showed, what a cell showed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from benchmarks.histogram import Histogram


class BenchmarkError(Exception):
    """What keeps a part of the run from being measured."""


@lru_cache(maxsize=64)
def counted_tokens(count: int) -> tuple[str, ...]:
    """Tokens of the answer to `count to N`: "1", " 2", ... " N"."""
    return tuple(str(i) if i == 1 else f" {i}" for i in range(1, count + 1))


@lru_cache(maxsize=64)
def counted_text(count: int) -> str:
    """The answer to `count to N`."""
    return "".join(counted_tokens(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the engine is, in milliseconds; zeros mean as fast as it can."""

    ttft_ms: float
    token_ms: float

    @property
    def ttft_s(self) -> float:
        return self.ttft_ms / 1000

    @property
    def token_s(self) -> float:
        return self.token_ms / 1000

    @property
    def label(self) -> str:
        if not self.ttft_ms and not self.token_ms:
            return "full speed"
        return f"{self.ttft_ms:g} ms + {self.token_ms:g} ms a token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One square of the table: so many clients asking for answers of so many tokens."""

    pace: Pace
    clients: int
    tokens: int

    @property
    def label(self) -> str:
        return f"{self.clients} clients, {self.tokens} tokens, {self.pace.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the load process is told.

    `seconds` is the least length of the measured window; `cap_s` bounds warm-up and window each,
    and twice that the connecting and the draining.
    """

    kind: str
    url: str
    model: str
    clients: int
    tokens: int
    seconds: float
    cap_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What the load process saw in the window; times in milliseconds."""

    finished: int
    window_s: float
    capped: bool
    ttft_p50_ms: float
    ttft_p99_ms: float
    gap_p99_ms: float
    frames_per_answer: float
    frames_max: int
    first_second_gap_p99_ms: float
    first_second_gap_max_ms: float
    client_cpu_s: float
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWindow:
    """A worker during one measurement.

    `idle_mb` is its memory (RSS) before it was asked anything, `mb` that at the end of the window;
    `stages` is what each stage took for what passed it.
    """

    idle_mb: float
    mb: float
    stages: Mapping[str, Histogram]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One peer in one cell.

    `cpu_s` is the window's CPU seconds by process, the load generator's excluded; `idle_cpu_s` is
    what the other peers' processes used meanwhile. `worker` is of the peer that has one.
    """

    peer: str
    cell: Cell
    load: LoadResult
    baseline_ttft_ms: float
    cpu_s: dict[str, float]
    idle_cpu_s: float
    worker: WorkerWindow | None = None

    @property
    def requests_per_s(self) -> float:
        return self.load.finished / self.load.window_s

    @property
    def added_p50_ms(self) -> float:
        return self.load.ttft_p50_ms - self.baseline_ttft_ms

    @property
    def added_p99_ms(self) -> float:
        return self.load.ttft_p99_ms - self.baseline_ttft_ms

    def cpu_ms(self, name: str) -> float:
        """CPU milliseconds a request costs in the process called `name`."""
        return self.cpu_s[name] * 1000 / max(self.load.finished, 1)

    @property
    def total_cpu_ms(self) -> float:
        return sum(self.cpu_ms(name) for name in self.cpu_s)

    @property
    def client_cpu_ms(self) -> float:
        return self.load.client_cpu_s * 1000 / max(self.load.finished, 1)
