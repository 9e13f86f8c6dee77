"""Schedules: invoke functions at intervals, as EventBridge does."""

import asyncio
import json
import logging
from collections.abc import Callable

from local.lambda_service.config import ScheduleConfig
from local.lambda_service.invocation import Outcome

logger = logging.getLogger(__name__)

EVENT = json.dumps(
    {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
).encode()


class Schedule:
    """Invokes one function, one invocation after the other."""

    def __init__(
        self, *, config: ScheduleConfig, invoke: Callable[[bytes], asyncio.Future[Outcome]]
    ) -> None:
        self._config = config
        self._invoke = invoke
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the first interval."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Invoke no more; an invocation that runs is left to the service."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await asyncio.sleep(self._config.first_s)
        while True:
            # Shielded: the service decides if an invocation that runs at its end is cut off.
            outcome = await asyncio.shield(self._invoke(EVENT))
            if outcome.failed:
                logger.warning("the schedule of %s: the invocation failed", self._config.function)
            await asyncio.sleep(self._config.every_s)
