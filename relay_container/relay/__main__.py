"""``python -m relay``: delivers events until it is told to stop."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from axon.exceptions import SettingsError
from axon.settings import RelaySettings
from relay.service import serve


async def main(settings: RelaySettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop=stop)


if __name__ == "__main__":
    try:
        configured = RelaySettings.from_environ(os.environ)
        logging.basicConfig(
            level=configured.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        uvloop.run(main(configured))
    except SettingsError as error:
        sys.exit(f"relay: {error}")
