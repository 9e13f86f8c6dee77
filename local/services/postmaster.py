"""Removes what a killed PostgreSQL server leaves behind."""

import contextlib
from pathlib import Path

import psutil


def forget_dead_server(data: Path) -> None:
    """Remove the lock file of a killed server and end its remaining processes.

    A running server is left alone. The child processes of a killed one end a moment after it; until
    then they use its shared memory, and a new server refuses to start. The process id in the lock
    file may belong to another program by now, so it is compared with the processes that use the
    data folder.
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
