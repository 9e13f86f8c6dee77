"""Run the official runtime client in a process that dies with the service, even by SIGKILL.

Started by its path with the service's pid and the handler; afterwards the process is what
`python -m awslambdaric HANDLER` would have been.
"""

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    # On macOS an idle runtime notices the broken connection, a busy one when it reports its result.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The service may have died before the call above: no signal comes any more.
    if os.getppid() != parent:
        sys.exit("the service is gone")


if __name__ == "__main__":
    _die_with(int(sys.argv.pop(1)))
    sys.path[0] = str(Path.cwd())
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
