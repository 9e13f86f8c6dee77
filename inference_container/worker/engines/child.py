"""Start of an engine's child process: its signals, its output and its end."""

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any


def ignore_signals() -> None:
    """Ignore the signals that end the worker.

    A terminal or a supervisor signals the whole process group. The worker drains first, and ends
    its children by closing their input.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def claim_stdout() -> Callable[[Mapping[str, Any]], None]:
    """Reserve standard output for messages: what libraries print goes to standard error."""
    descriptor = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, Any]) -> None:
        os.write(descriptor, json.dumps(message, separators=(",", ":")).encode() + b"\n")

    return send


def exit_on_hangup(descriptor: int) -> None:
    """Exit when the other end of the descriptor closes, even while a model loads."""
    closing = select.poll()
    closing.register(descriptor, 0)  # no events requested: a hang-up is always reported

    def watch() -> None:
        closing.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
