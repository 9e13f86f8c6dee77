"""What the processes of long-running services have in common: how they log and when they stop."""

import asyncio
import json
import logging
import signal
from datetime import UTC, datetime

from axon.settings import Settings

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure_logging(settings: Settings) -> None:
    """Log to standard error, a line a record or, as text, with its traceback below it."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter() if settings.log_format == "json" else logging.Formatter(_TEXT)
    )
    logging.basicConfig(level=settings.log_level, handlers=[handler])


class JsonFormatter(logging.Formatter):
    """One JSON object a record, with the names that Powertools uses in the functions' logs."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "level": record.levelname,
            "message": record.getMessage(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; called on the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
