"""WorkerScaler as an ECS service, whose first task whoever queues a job starts."""

import asyncio
import logging
import time
from collections.abc import Callable

from axon.adapters.aws.aws_json import AwsJsonApi
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.exceptions import UnavailableError
from axon.scaling import WorkerScaler

LOGGER = logging.getLogger(__name__)

PAUSE_S = 10
"""Between two looks at the service, of all processes together."""

_LONGEST_S = 1.0


class EcsWorkerScaler(WorkerScaler):
    """See `axon.scaling.WorkerScaler`.

    From one task on, the service's own scaling follows the queue. When waking fails, that does the
    first task's start too, only later.

    Parameters
    ----------
    valkey : Valkey
        Where the processes agree on who looks.
    """

    def __init__(
        self,
        *,
        cluster: str,
        service: str,
        ecs: AwsJsonApi,
        valkey: Valkey,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._service = service
        self._ecs = ecs
        self._valkey = valkey
        self._clock = clock
        self._rests_until = float("-inf")

    async def wake(self) -> None:
        if self._clock() < self._rests_until:
            return
        self._rests_until = self._clock() + PAUSE_S
        try:
            async with asyncio.timeout(_LONGEST_S):
                await self._wake()
        except Exception:
            LOGGER.exception("%s was not woken; its scaling will start it later", self._service)

    async def _wake(self) -> None:
        # One key for the pause: the process that sets it is the one that looks.
        if not await self._valkey.call("SET", keys.WAKING, 1, "NX", "EX", PAUSE_S):
            return
        answer = await self._ecs.call(
            "DescribeServices", cluster=self._cluster, services=[self._service]
        )
        if not answer.get("services"):
            raise UnavailableError(f"ECS has no such service: {answer.get('failures')}")
        if answer["services"][0]["desiredCount"] > 0:
            return
        await self._ecs.call(
            "UpdateService", cluster=self._cluster, service=self._service, desiredCount=1
        )
        LOGGER.info("%s had no task; the first one starts", self._service)
