"""Values of the benchmark of open streams: the plan, a load process's input and output, cells."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.model import Pace

SETTLE_S, SPARE_S = 2.0, 1.0
"""Seconds between the last opening and the window, and for which the first stream outlives it."""
BUCKETS_PER_MS = 10
"""Times are counted in buckets of 0.1 ms: all of a window, whatever their number."""

Counts = dict[int, int]
"""Numbers of times by bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Cells to measure: every peer with every number of streams.

    Parameters
    ----------
    streams : tuple[int, ...]
        Streams that are open at a time.
    tokens_per_s : float
        Pace of each stream.
    seconds : float
        Length of the measured window.
    opened_per_s : float
        Rate at which the streams of a cell are opened.
    processes : int
        Processes that the load is made by.
    """

    peers: tuple[str, ...]
    streams: tuple[int, ...]
    tokens_per_s: float
    seconds: float
    opened_per_s: float
    processes: int

    @property
    def pace(self) -> Pace:
        """Return the engine's pace."""
        token_ms = 1000 / self.tokens_per_s
        return Pace(ttft_ms=token_ms, token_ms=token_ms)

    def opening_s(self, streams: int) -> float:
        """Return the seconds from the first opening to the last."""
        return streams / self.opened_per_s

    def tokens(self, streams: int) -> int:
        """Return the tokens of an answer: the first stream lasts until after the window."""
        lasts_s = self.opening_s(streams) + SETTLE_S + self.seconds + SPARE_S
        return math.ceil(lasts_s * self.tokens_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLoad:
    """Input of one load process. Times are those of `time.perf_counter`, which processes share.

    Parameters
    ----------
    tokens : int
        Tokens of an answer.
    streams : int
        Streams of all processes.
    process, processes : int
        It opens each stream whose number leaves this rest.
    begin_at, from_at, to_at, until : float
        Times of the first opening, of the window's borders, and after which no answer is awaited.
    """

    kind: str
    url: str
    model: str
    tokens: int
    token_s: float
    streams: int
    process: int
    processes: int
    opened_per_s: float
    begin_at: float
    from_at: float
    to_at: float
    until: float

    @property
    def numbers(self) -> range:
        """Return the numbers of the streams that this process opens."""
        return range(self.process, self.streams, self.processes)

    def opens_at(self, number: int) -> float:
        """Return the time at which a stream is opened."""
        return self.begin_at + number / self.opened_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsSeen:
    """Answers that one load process, or all of them, have received.

    Parameters
    ----------
    held : int
        Streams that were open in the whole window.
    finished, failed : int
        Answers that were whole and in order, and others.
    deltas : int
        Deltas in the window.
    gaps : Counts
        Times between two deltas of a stream, of those whose later one lies in the window.
    late : Counts
        Times by which deltas of the window are later than the stream's pace has it, counted from
        its most punctual delta.
    first_tokens_ms : Sequence[float]
        Time from the request to the first delta, of all streams.
    """

    held: int = 0
    finished: int = 0
    failed: int = 0
    deltas: int = 0
    gaps: Counts = field(default_factory=dict)
    late: Counts = field(default_factory=dict)
    first_tokens_ms: Sequence[float] = ()
    failures: Sequence[str] = ()


def merged(parts: Sequence[StreamsSeen]) -> StreamsSeen:
    """Return what all load processes have seen."""
    gaps, late = Counter[int](), Counter[int]()
    for part in parts:
        gaps.update(part.gaps)
        late.update(part.late)
    return StreamsSeen(
        held=sum(part.held for part in parts),
        finished=sum(part.finished for part in parts),
        failed=sum(part.failed for part in parts),
        deltas=sum(part.deltas for part in parts),
        gaps=dict(gaps),
        late=dict(late),
        first_tokens_ms=[ms for part in parts for ms in part.first_tokens_ms],
        failures=[text for part in parts for text in part.failures],
    )


def bucket(seconds: float) -> int:
    """Return the bucket of a time."""
    return round(seconds * 1000 * BUCKETS_PER_MS)


def rank_ms(counts: Mapping[int, int], rank: float) -> float:
    """Return a percentile of counted times in milliseconds; nan without any."""
    wanted, below = sum(counts.values()) * rank / 100, 0
    for place in sorted(counts):
        below += counts[place]
        if below >= wanted:
            return place / BUCKETS_PER_MS
    return math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One peer with one number of streams.

    Parameters
    ----------
    window_s : float
        Seconds between the two readings of CPU time.
    baseline_ms : float
        The mock's time to first token with one client (p50).
    cpu_s : Mapping[str, float]
        CPU seconds of the window by process, without the load.
    mb : Mapping[str, float]
        Resident memory at the window's end by process, in millions of bytes.
    load_cpu_s : float
        CPU seconds of the load.
    """

    peer: str
    streams: int
    window_s: float
    baseline_ms: float
    cpu_s: Mapping[str, float]
    mb: Mapping[str, float]
    load_cpu_s: float
    seen: StreamsSeen

    @property
    def gateway(self) -> str:
        """Return the name of the process that the clients are connected to."""
        return "front" if self.peer.startswith("axon") else self.peer.partition(",")[0]

    def cores(self, name: str) -> float:
        """Return a process's CPU use in cores."""
        return self.cpu_s.get(name, 0.0) / self.window_s

    @property
    def total_cores(self) -> float:
        """Return the CPU use of all server processes, the mock engine included."""
        return sum(map(self.cores, self.cpu_s))

    def per_stream(self, cores: float) -> float:
        """Return the CPU milliseconds of a second of one stream, of a use in cores."""
        return cores * 1000 / self.streams

    @property
    def whole(self) -> bool:
        """Return whether every answer was whole and in order."""
        return self.seen.finished == self.streams and not self.seen.failed

    @property
    def sound(self) -> bool:
        """Return whether the answers were whole, and all streams open in the whole window."""
        return self.whole and self.seen.held == self.streams
