"""Scaling from zero on ECS: a process that queues a job starts the service's first task."""

import asyncio
import logging
import time
from collections.abc import Callable

from typing_extensions import override

from axon.adapters.aws.aws_json import AwsJsonApi
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.exceptions import UnavailableError
from axon.scaling import WorkerScaler

logger = logging.getLogger(__name__)

PAUSE_S = 10
"""Seconds between two looks at the service, of all processes together."""

_TIME_LIMIT_S = 1.0
"""For everything: a client is waiting."""


class EcsWorkerScaler(WorkerScaler):
    """See `axon.scaling.WorkerScaler`.

    From one task on, the service's own scaling follows the queue. If the start of the first task
    fails here, that scaling starts it too, only later.

    Parameters
    ----------
    cluster, service : str
        Names of the ECS cluster and of the workers' service in it.
    ecs : AwsJsonApi
        The API of ECS.
    valkey : Valkey
        Holds the lock by which one process at a time looks at the service.
    clock : Callable[[], float]
        Seconds of a monotonic clock.
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
        self._quiet_until = float("-inf")

    @override
    async def ensure_running(self) -> None:
        # Spares the round trip to Valkey while this process knows that a look would be too soon.
        if self._clock() < self._quiet_until:
            return
        self._quiet_until = self._clock() + PAUSE_S
        try:
            async with asyncio.timeout(_TIME_LIMIT_S):
                await self._start_first()
        except Exception:
            logger.exception("%s was not woken; its scaling will start it later", self._service)

    async def _start_first(self) -> None:
        # A lock that is never released, only expires: many processes queue jobs in the same second,
        # and ECS limits the rate of its API calls. Only the process that gets the lock looks.
        if not await self._valkey.call("SET", keys.SCALING_LOCK, 1, "NX", "EX", PAUSE_S):
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
        logger.info("%s had no task; the first one starts", self._service)
