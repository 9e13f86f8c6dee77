"""``python -m worker``: one engine, and the consumer that feeds it."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from axon.exceptions import SettingsError
from axon.settings import WorkerSettings
from worker.engines.protocol import EngineDeadError
from worker.service import serve

ENGINE_DIED = 70
"""Exit status (EX_SOFTWARE) that tells a dead engine from other failures."""


async def main(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop=stop)


if __name__ == "__main__":
    try:
        configured = WorkerSettings.from_environ(os.environ)
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    logging.basicConfig(
        level=configured.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        uvloop.run(main(configured))
    except EngineDeadError as error:
        logging.getLogger("worker").critical("the engine died: %s", error)
        sys.exit(ENGINE_DIED)
