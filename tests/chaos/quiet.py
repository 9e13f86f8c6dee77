"""When all is over: nothing is under way, and nothing was left behind."""

import asyncio
import time
from collections.abc import AsyncIterator

from botocore.credentials import Credentials

from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.exceptions import UnavailableError
from local.services.queues import QUEUES, REGION, Queue, queue_url
from tests.chaos.cloud import RELAYS, ChaosCloud
from tests.chaos.metrics import Watch

LASTING = {
    keys.DEADLINES,
    keys.ABANDONED,
    keys.RELAYS,
    keys.MODELS,
    keys.MODELS_LAST_SEEN,
    keys.MODELS_SERVED_SINCE,
    keys.TURNS,
    keys.MEMORY,
    keys.sweeps(keys.DEADLINES),
    keys.sweeps(keys.ABANDONED),
}
"""Keys that do not expire."""
PARKED = "jobs-parked"
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Quiet:
    """Looks for what is still under way."""

    def __init__(self, *, cloud: ChaosCloud, valkey: Valkey, watch: Watch) -> None:
        self._cloud = cloud
        self._valkey = valkey
        self._watch = watch

    async def wait(self, *, within_s: float) -> list[str]:
        """Return when nothing is under way, or, after `within_s`, what still is."""
        deadline = time.monotonic() + within_s
        while True:
            left = [what async for what in self._under_way()]
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.5)

    async def leaks(self) -> list[str]:
        """Return the keys that would stay for ever."""
        keys = [key for key in await self._keys("axon:*") if key not in LASTING]
        return [
            f"{key} does not expire" for key in keys if await self._valkey.call("TTL", key) == -1
        ]

    async def _keys(self, pattern: str) -> list[str]:
        return [key.decode() for key in await self._valkey.call("KEYS", pattern)]

    async def _under_way(self) -> AsyncIterator[str]:
        for index in (keys.DEADLINES, keys.ABANDONED):
            for response_id in await self._valkey.call("ZRANGE", index, 0, -1):
                yield f"{index} has {response_id.decode()}"
        for pattern in ("axon:relay:*:responses", "axon:connection:*:responses"):
            for key in await self._keys(pattern):
                yield f"{key} has {await self._valkey.call('SMEMBERS', key)}"
        relays = await self._valkey.call("ZRANGEBYSCORE", keys.RELAYS, time.time() * 1000, "+inf")
        if sorted(relay.decode() for relay in relays) != sorted(RELAYS):
            yield f"the relays are {relays}"
        for queue in QUEUES:
            if queue.name != PARKED and (count := await self._messages(queue)):
                yield f"queue {queue.name} has {count} messages"
        if used := await self._watch.slots_used():
            yield f"{used} slots are used"
        elif used is None:
            yield "a worker does not answer"

    async def _messages(self, queue: Queue) -> int:
        api = SqsApi(
            queue_url=queue_url(self._cloud.addresses.fauxqs.endpoint, queue),
            region=REGION,
            credentials=lambda: Credentials("local", "local", self._cloud.addresses.token),
        )
        try:
            found = await api.call("GetQueueAttributes", AttributeNames=list(_COUNTS))
        except UnavailableError:
            return -1
        finally:
            await api.close()
        return sum(int(found["Attributes"][name]) for name in _COUNTS)
