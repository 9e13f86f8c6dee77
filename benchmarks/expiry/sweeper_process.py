"""``python -m benchmarks.expiry.sweeper_process``: sweep as a relay does, until SIGTERM.

Built by the same composition as a relay, without the relay's deliveries. At its end it prints JSON:
the number of responses that ended without their history.
"""

import cProfile
import json
import os
from collections import Counter
from contextlib import AsyncExitStack

import uvloop

from axon.adapters import composition
from axon.adapters.valkey.client import create_valkey
from axon.periodic import every
from axon.process import configure_logging, stop_on_signals
from axon.responses.sweeper import ResponseSweeper
from axon.settings import EventLogSettings

PROFILE = "AXON_BENCH_PROFILE"
"""Variable that names the file which gets the profile (`cProfile`); without it there is none."""
STEP_S = 1.0
"""Seconds from one sweep to the next, as in `relay.relay`."""


class SweeperSettings(EventLogSettings):
    """Settings of a relay, as far as its sweeper needs them."""

    history_queue_url: str


async def main(settings: SweeperSettings) -> None:
    """Sweep until SIGTERM."""
    stop, unrecorded = stop_on_signals(), Counter[str]()
    async with AsyncExitStack() as stack:
        valkey = create_valkey(settings)
        stack.push_async_callback(valkey.close)
        history = composition.sqs_api(settings.history_queue_url, region=settings.aws_region)
        stack.push_async_callback(history.close)
        terminator = composition.terminator(
            settings,
            valkey=valkey,
            log=composition.event_log(settings, valkey=valkey),
            history=history,
            history_lost=lambda: unrecorded.update(ended=1),
        )
        index = composition.due_index(settings, valkey=valkey)
        sweeper = ResponseSweeper(index=index, terminator=terminator)
        await every(STEP_S, sweeper.end_overdue, until=stop)
    print(json.dumps({"unrecorded": unrecorded["ended"]}), flush=True)


if __name__ == "__main__":
    configured = SweeperSettings.from_environ(os.environ)
    configure_logging(configured)
    profile = cProfile.Profile()
    if PROFILE in os.environ:
        profile.enable()
    uvloop.run(main(configured))
    if PROFILE in os.environ:
        profile.disable()
        profile.dump_stats(os.environ[PROFILE])
