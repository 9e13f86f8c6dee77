"""Values of the benchmark of idle streams: the plan, a load process's input and output, result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IDLE_TOKENS = 3
"""Tokens of an answer: it is the wait before that is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdlePlan:
    """The measurement that is asked for.

    Parameters
    ----------
    peer : str
        Axon over SSE, or over the front's WebSocket.
    streams : int
        Streams, each on a connection of its own.
    seconds : float
        Length of the window in which nothing but comments comes.
    resumed_every : int
        Each stream whose number leaves no rest loses its connection, and is resumed.
    """

    peer: str
    streams: int
    seconds: float
    opened_per_s: float
    processes: int
    resumed_every: int = 10

    @property
    def opening_s(self) -> float:
        """Return the seconds from the first opening to the last."""
        return self.streams / self.opened_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleLoad:
    """Input of one load process: it opens each stream whose number leaves the rest `process`."""

    kind: str
    url: str
    model: str
    streams: int
    process: int
    processes: int
    opened_per_s: float
    resumed_every: int

    @property
    def numbers(self) -> range:
        """Return the numbers of the streams that this process opens."""
        return range(self.process, self.streams, self.processes)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSeen:
    """Streams of one load process, or of all of them, as they were received.

    Parameters
    ----------
    opened : int
        Streams whose response was accepted.
    comments : int
        Comments, or pings, in the idle window.
    resumed : int
        Streams that were resumed after their connection was cut.
    answered : int
        Answers that were whole and in order; those of resumed streams are among them.
    """

    opened: int = 0
    comments: int = 0
    resumed: int = 0
    answered: int = 0
    failures: Sequence[str] = ()


def merged(parts: Sequence[IdleSeen]) -> IdleSeen:
    """Return what all load processes have seen."""
    return IdleSeen(
        opened=sum(part.opened for part in parts),
        comments=sum(part.comments for part in parts),
        resumed=sum(part.resumed for part in parts),
        answered=sum(part.answered for part in parts),
        failures=[text for part in parts for text in part.failures],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleResult:
    """The measurement.

    Parameters
    ----------
    before_mb, mb : Mapping[str, float]
        Resident memory by process without a stream, and at the idle window's end.
    tcp_mb : float
        Memory that the kernel has taken since for TCP connections, both ends of each.
    cores : Mapping[str, float]
        CPU use in the idle window by process.
    commands_per_s : float
        Commands that Valkey has executed in the idle window, per second.
    """

    before_mb: Mapping[str, float]
    mb: Mapping[str, float]
    tcp_mb: float
    cores: Mapping[str, float]
    commands_per_s: float
    seen: IdleSeen

    def whole(self, plan: IdlePlan) -> bool:
        """Return whether every stream was opened and answered, and a part of them resumed."""
        return (
            self.seen.opened == self.seen.answered == plan.streams
            and self.seen.resumed == len(range(0, plan.streams, plan.resumed_every))
            and not self.seen.failures
        )
