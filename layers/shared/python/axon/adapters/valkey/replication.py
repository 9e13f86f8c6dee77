"""Replication: waits until a replica has what a server was sent before."""

import asyncio
import logging
from collections.abc import Sequence

from redis.exceptions import NoPermissionError, RedisError

from axon.adapters.aws.batching import Batcher
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import WHEN_FULL, Valkey
from axon.exceptions import UnavailableError

logger = logging.getLogger(__name__)

WITHIN_S = 6.0
"""Seconds after which a replica that lags still is waited for no longer."""
_CALL_MS = 1000
"""Milliseconds of one WAIT: less than a connection's limit for an answer."""
_BATCH = 512
_WRITE = WHEN_FULL + "redis.call('SET', KEYS[1], '', 'EX', 60)"
"""Also runs while Valkey has no memory left: a claim must not wait for that."""


class Replication:
    """Waits with a connection of its own, because WAIT blocks what travels behind it.

    A replica confirms the stream of writes up to a position, so one WAIT serves all callers whose
    writes came before it.

    Parameters
    ----------
    valkey : Valkey
        The server; its pool gives the connection.
    """

    def __init__(self, valkey: Valkey) -> None:
        self._redis = valkey.redis
        self._waits: Batcher[None, None] = Batcher(self._wait, size=_BATCH)

    async def caught_up(self) -> None:
        """Wait until a replica has all that was written before the call.

        Return at once if no replica is connected, and after `WITHIN_S` if none catches up: the
        writes may get lost in a failover then.

        Raises
        ------
        UnavailableError
            The server is away; whether the writes will survive is not known.
        """
        await self._waits.submit(None)

    async def _wait(self, callers: Sequence[None]) -> Sequence[None]:
        until = asyncio.get_running_loop().time() + WITHIN_S
        try:
            while not await self._has_caught_up():
                if asyncio.get_running_loop().time() >= until:
                    logger.warning("no replica has caught up in %.0f s", WITHIN_S)
                    break
        except NoPermissionError as error:  # a user of the version before
            logger.warning("cannot wait for replicas: %s", error)
        except RedisError as error:
            raise UnavailableError(f"Valkey: {error}") from error
        return callers

    async def _has_caught_up(self) -> bool:
        """Return whether a replica has confirmed within `_CALL_MS`; True without one."""
        if not _has_replica(await self._redis.info("replication")):
            return True
        async with self._redis.pipeline(transaction=False) as commands:
            # WAIT waits for the newest write of its own connection. So there is one, and both are
            # repeated together if the connection breaks.
            commands.eval(_WRITE, 1, keys.REPLICATED)
            commands.wait(1, _CALL_MS)
            _, replicas = await commands.execute()
        return bool(replicas)


def _has_replica(info: dict[str, object]) -> bool:
    """Return whether a replica follows the stream; one that loads its first copy does not yet."""
    return any(
        isinstance(value, dict) and value.get("state") == "online"
        for name, value in info.items()
        if name.startswith("slave")
    )
