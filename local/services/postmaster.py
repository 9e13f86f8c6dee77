"""What a PostgreSQL server that was killed leaves behind in its data folder."""

import contextlib
from pathlib import Path

import psutil


def forget_dead_server(data: Path) -> None:
    """Clear the way for a new server; leave alone one that runs.

    A killed server's own processes end a moment after it, and until then its shared memory is in
    use. Its lock file names a process id that may be somebody else's by now.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    processes = {process.pid: process for process in _processes_in(data)}
    if pid in processes:
        return
    for process in processes.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes.values(), timeout=5)
    lock.unlink(missing_ok=True)


def _processes_in(data: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_server_in(process, data)]


def _is_server_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except (psutil.Error, OSError):
        return False
