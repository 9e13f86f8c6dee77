"""End of a process that closes its parts: within a limit, whatever hangs."""

import logging
import os
import threading

logger = logging.getLogger(__name__)

CLOSE_LIMIT_S = 30.0
"""Seconds from the end of a worker's jobs to the end of its process."""


def exit_within(seconds: float, *, status: int) -> threading.Timer:
    """End the process after this time, unless it has ended by itself.

    A thread does it: closing an engine may block the event loop, or hang in a thread that Python
    waits for before it exits.

    Parameters
    ----------
    seconds : float
        Time limit.
    status : int
        Exit status of a process that is ended so.
    """

    def end() -> None:
        logger.critical("the worker does not close within %g s: ending its process", seconds)
        logging.shutdown()
        os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True  # does not keep alive what ends by itself
    timer.start()
    return timer
