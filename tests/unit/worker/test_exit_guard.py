"""A process that does not end by itself."""

import subprocess
import sys

HANGS = (
    "import threading; from worker.exit_guard import exit_within; "
    "exit_within({seconds}, status=70); {rest}"
)


def exit_status(*, seconds: float, rest: str) -> int:
    code = HANGS.format(seconds=seconds, rest=rest)
    return subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode


def test_exit_guard_ends_a_process_whose_thread_hangs() -> None:
    thread = "threading.Thread(target=threading.Event().wait).start()"
    assert exit_status(seconds=0.1, rest=thread) == 70


def test_exit_guard_does_not_delay_a_process_that_ends() -> None:
    assert exit_status(seconds=1000, rest="pass") == 0
