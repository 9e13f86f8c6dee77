"""What the processes of long-running services have in common: how they log and when they stop."""

import asyncio
import logging
import signal


def configure_logging(level: str) -> None:
    """Log to standard error, a line a record."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; called on the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
