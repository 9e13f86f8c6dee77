"""Steps of the proof: said as they begin and end, with what tells why one failed."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_S = 240


class StepError(Exception):
    """The proof failed; the text says what was wrong."""


def require(condition: object, wrong: str) -> None:
    """Raise StepError with `wrong` unless the condition holds."""
    if not condition:
        raise StepError(wrong)


class Steps:
    """Prints each step and how long it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._number = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Take what is done in the block for a step; it may not take for ever."""
        self._number += 1
        print(f"{self._number:2}. {what} ... ", end="", flush=True)
        began = time.monotonic()
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(LONGEST_S)
        try:
            yield
        except BaseException:
            print("failed", flush=True)
            raise
        finally:
            signal.alarm(0)
        print(f"{time.monotonic() - began:.1f} s", flush=True)

    def done(self) -> None:
        """Say that all of them passed."""
        print(f"The deployment works: {time.monotonic() - self._began:.0f} s.")


def tell(error: BaseException, *logs: Path) -> None:
    """Print the ends of the logs, then what went wrong."""
    for log in logs:
        lines = log.read_text(errors="replace").splitlines()[-40:]
        print("\n".join([f"--- {log}", *lines]), file=sys.stderr)
    print(f"\nThe deployment does not work: {error!r}", file=sys.stderr)


def _give_up(_signal: int, _frame: object) -> None:
    raise StepError(f"it took more than {LONGEST_S} s")
