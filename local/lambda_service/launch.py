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
from typing import Any

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    # On macOS an idle runtime notices the broken connection, a busy one when it reports its result.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The service may have died before the call above: no signal comes any more.
    if os.getppid() != parent:
        sys.exit("the service is gone")


def _report_failures_to_the_secret_path() -> None:
    """Make the client's Python half accept a path in the address of the Runtime API.

    It reports that the handler cannot be loaded, and takes the address for a host and a port. The
    half in C++, which does the rest, puts any address in front of its paths.
    """
    from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient

    call = BaseLambdaRuntimeClient.call_rapid

    def call_below_path(
        self: BaseLambdaRuntimeClient, method: str, endpoint: str, *arguments: Any
    ) -> None:
        address = self.lambda_runtime_address
        self.lambda_runtime_address, _, secret = address.partition("/")
        try:
            call(self, method, f"/{secret}{endpoint}", *arguments)
        finally:
            self.lambda_runtime_address = address

    BaseLambdaRuntimeClient.call_rapid = call_below_path


if __name__ == "__main__":
    _die_with(int(sys.argv.pop(1)))
    sys.path[0] = str(Path.cwd())
    _report_failures_to_the_secret_path()
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
