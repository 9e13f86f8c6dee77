"""Kill the processes that a supervisor left behind when it died."""

import os
import signal

import psutil

from local.supervision.program import OWNER_VARIABLE


def owned(owner: str) -> list[psutil.Process]:
    """Return the processes that carry `owner` in their environment, and their descendants.

    Parameters
    ----------
    owner : str
        Value of AXON_LOCAL_OWNER; a folder alone also selects every ``folder:PID``.
    """
    found = {process for process in psutil.process_iter() if _carries(process, owner)}
    for process in tuple(found):
        try:
            found.update(process.children(recursive=True))
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def end_leftovers(owner: str) -> int:
    """Kill all processes of `owner`, with their process groups; return how many there were."""
    killed = 0
    # Searched again until none is found: a process may start another one during the search.
    while processes := owned(owner):
        killed += len(processes)
        for process in processes:
            kill_group(process.pid)
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(processes, timeout=0.1)
    return killed


def kill_group(leader: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process group of `leader`; the group may have outlived its leader, or be gone."""
    try:
        os.killpg(leader, how)
    except (ProcessLookupError, PermissionError):
        return


def _carries(process: psutil.Process, owner: str) -> bool:
    try:
        carried = process.environ().get(OWNER_VARIABLE, "")
    except (psutil.Error, OSError):
        return False
    return carried == owner or carried.startswith(f"{owner}:")
