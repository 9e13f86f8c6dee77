"""A program for a supervisor: its command, its environment, and its readiness check."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OWNER_VARIABLE = "AXON_LOCAL_OWNER"
"""Environment variable with the run that a process belongs to: it survives the supervisor's death,
so that the processes it left behind can be found and killed."""


def nothing() -> None:
    """Prepare nothing: the default of `Program.prepare`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A process to run.

    Parameters
    ----------
    name : str
        Name in the status and of the log file.
    command : tuple[str, ...]
        Path of the executable, then its arguments.
    ready : Callable[[int], bool]
        Readiness check; gets the process id and must return within about a second.
    environment : Mapping[str, str]
        Variables of the process, beyond the few that it inherits.
    after : frozenset[str]
        Steps that must be ready before it starts; it stops before they do.
    uses : frozenset[str]
        Programs that it needs later only: it does not wait for them, but stops before they do.
    prepare : Callable[[], None]
        Makes what the process needs; called before each start.
    folder : Path | None
        Working directory; that of the supervisor by default.
    stop_signal : signal.Signals
        Asks the process to stop.
    ready_within_s : float
        Seconds from the start within which `ready` must become true.
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
