"""What the local cloud runs: a command, its environment, and how to see that it is ready."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Names the folder of the local cloud that a process belongs to, in that process's environment:
# whatever happens to the supervisor, its processes can be found and ended.
OWNER_VARIABLE = "AXON_LOCAL_OWNER"


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A process to run.

    It starts when those named in `after` are ready, and stops before them and those in `uses`.
    `ready` gets the process's id and must answer within a second or so.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[int], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    prepare: Callable[[], None] = nothing
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_within_s: float = 60.0
