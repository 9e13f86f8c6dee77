"""The deadlines of a response: the one table, which docs/deadlines.md explains."""

from dataclasses import dataclass
from math import ceil

MOST_MOVES_S = 15.0
"""Longest time for which progress may leave a running response's entry of the index unmoved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Longest times that a response may wait, stand still and run, by Valkey's clock.

    The function that accepts a request writes its deadlines into the response's hash, so that all
    processes go by the same ones, also while a deployment changes the settings.

    Parameters
    ----------
    no_worker_s : float
        Seconds without any worker that serves the model.
    queue_s : float
        Seconds from the first worker that serves the model to the first output.
    no_progress_s : float
        Seconds from one output to the next.
    hard_limit_s : float | None
        Seconds from acceptance to the end of an answer, whatever its progress; None: no limit.
    """

    no_worker_s: float = 1800
    queue_s: float = 600
    no_progress_s: float = 120
    hard_limit_s: float | None = None

    @property
    def longest_wait_s(self) -> float:
        """Longest time without output, however often workers come and go meanwhile."""
        return self.no_worker_s + self.queue_s

    @property
    def first_look_ms(self) -> int:
        """Milliseconds from acceptance to the first look at whether the response is overdue."""
        first = min(self.no_worker_s, self.queue_s, self.hard_limit_s or self.queue_s)
        return int(first * 1000)

    @property
    def hard_limit_ms(self) -> int:
        """The hard limit in milliseconds; 0: no limit."""
        return int((self.hard_limit_s or 0) * 1000)

    @property
    def keep_open_s(self) -> int:
        """Seconds for which an unfinished log is kept without a look at it, and then some more."""
        return ceil(self.longest_wait_s + self.no_progress_s)

    def keep_ended_s(self, retention_s: float) -> int:
        """Return the seconds for which the state of an ended response is kept; events less long.

        It must be known as long as its job may come again, which its worker deletes.
        """
        return max(ceil(retention_s), ceil(self.queue_s))

    def encode(self) -> str:
        """Return the form in which the response's hash keeps them: milliseconds, and moves."""
        moves_s = min(MOST_MOVES_S, self.no_progress_s / 8)
        seconds = (self.no_worker_s, self.queue_s, self.no_progress_s, moves_s)
        return " ".join(str(int(each * 1000)) for each in seconds)
