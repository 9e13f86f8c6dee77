"""Set-up of a long-running process: logging, memory, open files, and the signals that stop it."""

import asyncio
import gc
import json
import logging
import resource
import signal
from contextlib import suppress
from datetime import UTC, datetime

from typing_extensions import override

from axon.base_settings import Settings
from axon.tracebacks import QuietTracebacks

_YOUNG_OBJECTS = 20_000
"""Objects that are made before the collector looks at them. With Python's own setting, 700, it
looks several times an answer, and nearly all that is young is still in use."""
MOST_OPEN_FILES = 65_535
"""As a task's definition has it on AWS (`infra.constructs.tasks.service_container`)."""
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure_logging(settings: Settings) -> None:
    """Send log records to standard error: JSON, one line a record, or text with tracebacks."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter() if settings.log_format == "json" else QuietTracebacks(_TEXT)
    )
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def settle_garbage_collection() -> None:
    """Spare the collector what a process that has started keeps for ever, and let it run rarely.

    Reference counts free nearly everything; the collector is for cycles alone. It took 14 % of a
    loaded worker's CPU (ADR 39).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


class JsonFormatter(QuietTracebacks):
    """One JSON object a record, with the names that Powertools uses in the functions' logs."""

    @override
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


def allow_open_files(most: int = MOST_OPEN_FILES) -> None:
    """Raise this process's limit of open files as far as it may, to `most`: a connection is one.

    Shells and service managers start processes with 1,024, for programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < desired:
        # macOS has a bound of its own below an unlimited hard limit.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))
