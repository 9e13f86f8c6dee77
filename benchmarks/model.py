"""Values of the main benchmark: paces, cells, loads and measurements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from benchmarks.histogram import Histogram


class BenchmarkError(Exception):
    """A part of the run cannot be measured."""


@lru_cache(maxsize=64)
def counted_tokens(count: int) -> tuple[str, ...]:
    """Return the tokens of the answer to `count to N`: "1", " 2", ... " N"."""
    return tuple(str(i) if i == 1 else f" {i}" for i in range(1, count + 1))


@lru_cache(maxsize=64)
def counted_text(count: int) -> str:
    """Return the answer to `count to N`."""
    return "".join(counted_tokens(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Speed of the engine, in milliseconds; zeros mean full speed."""

    ttft_ms: float
    token_ms: float

    @property
    def ttft_s(self) -> float:
        """Return the time to first token in seconds."""
        return self.ttft_ms / 1000

    @property
    def token_s(self) -> float:
        """Return the time between tokens in seconds."""
        return self.token_ms / 1000

    @property
    def label(self) -> str:
        """Return the pace in words."""
        if not self.ttft_ms and not self.token_ms:
            return "full speed"
        return f"{self.ttft_ms:g} ms + {self.token_ms:g} ms a token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the table: a number of clients that ask for answers of a number of tokens."""

    pace: Pace
    clients: int
    tokens: int

    @property
    def label(self) -> str:
        """Return the cell in words."""
        return f"{self.clients} clients, {self.tokens} tokens, {self.pace.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Input of the load generator.

    Parameters
    ----------
    seconds : float
        Least length of the measured window.
    cap_s : float
        Limit of the warm-up and of the window, in seconds; half the limit of connecting and of
        draining.
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
    """Output of the load generator: figures of the window."""

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

    Parameters
    ----------
    idle_mb : float
        Memory (RSS) before its first request, in millions of bytes.
    mb : float
        Memory at the end of the window.
    stages : Mapping[str, Histogram]
        Latency histogram of each stage, in seconds.
    """

    idle_mb: float
    mb: float
    stages: Mapping[str, Histogram]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One peer in one cell.

    Parameters
    ----------
    cpu_s : dict[str, float]
        CPU seconds of the window by process, without the load generator.
    idle_cpu_s : float
        CPU seconds that the other peers' processes used meanwhile.
    worker : WorkerWindow | None
        For the peer that has a worker.
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
        """Return the answered requests per second."""
        return self.load.finished / self.load.window_s

    @property
    def added_p50_ms(self) -> float:
        """Return the added time to first token, p50."""
        return self.load.ttft_p50_ms - self.baseline_ttft_ms

    @property
    def added_p99_ms(self) -> float:
        """Return the added time to first token, p99."""
        return self.load.ttft_p99_ms - self.baseline_ttft_ms

    def cpu_ms(self, name: str) -> float:
        """Return the CPU milliseconds per request of the process called `name`."""
        return self.cpu_s[name] * 1000 / max(self.load.finished, 1)

    @property
    def total_cpu_ms(self) -> float:
        """Return the CPU milliseconds per request of all server processes."""
        return sum(self.cpu_ms(name) for name in self.cpu_s)

    @property
    def client_cpu_ms(self) -> float:
        """Return the CPU milliseconds per request of the load generator."""
        return self.load.client_cpu_s * 1000 / max(self.load.finished, 1)
