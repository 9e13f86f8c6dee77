"""``python -m worker``: one engine, and the consumer that feeds it."""

import logging
import os
import sys

import uvloop

from axon.exceptions import SettingsError
from axon.service import configure_logging, stop_on_signals
from axon.settings import WorkerSettings
from worker.engines.protocol import EngineDeadError
from worker.service import serve

ENGINE_DIED = 70
"""Exit status (EX_SOFTWARE) that tells a dead engine from other failures."""


async def main(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    agent_uri = os.environ.get("ECS_AGENT_URI") if settings.task_protection else None
    await serve(settings, stop=stop_on_signals(), agent_uri=agent_uri)


if __name__ == "__main__":
    try:
        configured = WorkerSettings.from_environ(os.environ)
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    configure_logging(configured)
    try:
        uvloop.run(main(configured))
    except EngineDeadError as error:
        logging.getLogger("worker").critical("the engine died: %s", error)
        sys.exit(ENGINE_DIED)
