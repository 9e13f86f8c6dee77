"""A compiler of formats that dies, hangs or takes memory when its schema says so."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.engines.child import claim_stdout, exit_on_hangup
from worker.engines.grammar_server import GrammarLimits, serve

DIE_LOADING = "die"


def compile_format(text_format: Mapping[str, Any]) -> None:
    match text_format["schema"]:
        case {"does": "segfault"}:
            os.kill(os.getpid(), signal.SIGSEGV)
        case {"does": "segfault once", "seen": str() as seen} if _first(seen):
            os.kill(os.getpid(), signal.SIGSEGV)
        case {"does": "eat once", "seen": str() as seen} if _first(seen):
            raise MemoryError
        case {"does": "hang"}:
            time.sleep(60)
        case {"does": "burn"}:
            while True:
                pass
        case {"does": "eat"}:
            eaten = [bytearray(1 << 24) for _ in range(1 << 10)]
            raise AssertionError(len(eaten))
        case {"does": "refuse", "reason": str() as reason}:
            raise ValueError(reason)
        case {"does": "print"}:
            print("a library's output", flush=True)
            os.write(1, b"and a native one's\n")


def _first(seen: str) -> bool:
    """Return whether a file did not exist; it does now."""
    first = not Path(seen).exists()
    Path(seen).touch()
    return first


def main(limits: str, *arguments: str) -> None:
    exit_on_hangup(sys.stdin.fileno())
    send = claim_stdout()
    if DIE_LOADING in arguments:
        sys.exit(3)
    serve(compile_format, limits=GrammarLimits.of(limits), send=send)


if __name__ == "__main__":
    main(*sys.argv[1:])
