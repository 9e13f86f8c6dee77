"""The memory of Valkey: caches are evicted, then requests refused, before it is full."""

import logging
from collections.abc import Callable

from axon.adapters.valkey import keys
from axon.adapters.valkey.caches import UNUSED_MS
from axon.adapters.valkey.client import Script, Valkey

logger = logging.getLogger(__name__)

EVICT_ABOVE = 0.70
"""Share of the memory from which stored turns are evicted; also the threshold of the alarm."""
REFUSE_ABOVE = 0.85
"""Share from which new requests are refused. The rest is for the answers that run."""
ACCEPT_BELOW = 0.80
"""Share from which new requests are accepted again, so that the two do not alternate."""
TENANT_SHARE = 0.5
"""Share that the logs and unstored turns of one tenant may take."""
CONNECTION_SHARE = 0.125
"""Share that those of one connection may take."""
CACHE_SHARE = 0.15
"""Share that the stored turns of one tenant may take: with its `TENANT_SHARE` it stays below
`EVICT_ABOVE`, so that no tenant alone costs others their turns, or has their requests refused."""
CACHE_BELOW = 0.75
"""Share from which no stored turn is added: logs come before caches."""
_LIMITS_S = 10
"""Seconds for which the limits count: without a relay that measures, none does."""
_BATCH = 64
_BATCHES = 16
"""Batches of turns that one step evicts at most: 1,024 turns, of 100 KB each 100 MB a second."""


class MemoryGuard:
    """Keeps Valkey from filling up; one `step` a second, in every relay.

    Caches go first: the database has what they hold. Then new requests are refused. The logs of
    accepted responses are never touched, and have the rest of the memory for themselves.

    Parameters
    ----------
    valkey : Valkey
        The server that is guarded; one without `maxmemory` is not.
    observe : Callable[[float], None]
        Called with the share of the memory that is used.
    evicted : Callable[[int], None]
        Called with how many turns were evicted.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        observe: Callable[[float], None] = lambda _: None,
        evicted: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._valkey = valkey
        self._observe = observe
        self._evicted = evicted
        self._refusing = False
        self._evict = Script(valkey, "evict_turns", after=("now_ms", "held"), when_full=True)
        self._keep = Script(valkey, "keep", when_full=True)

    async def step(self) -> None:
        """Measure, evict what may be evicted, and set the limits that `open` applies.

        Raises
        ------
        UnavailableError
            Valkey is away. If it is full already, it refuses requests by itself.
        """
        memory = await self._valkey.call("INFO", "memory")
        most = int(memory.get("maxmemory", 0))
        if most == 0:
            return
        share = int(memory["used_memory"]) / most
        self._observe(share)
        if share >= EVICT_ABOVE:
            await self._evict_turns()
        refusing = share >= (ACCEPT_BELOW if self._refusing else REFUSE_ABOVE)
        if refusing != self._refusing:
            logger.warning("memory %.0f %%: new requests %s", share * 100, _verb(refusing))
        self._refusing = refusing
        limits = {
            "full": int(refusing),
            "caches": int(share < CACHE_BELOW),
            "tenant_bytes": int(most * TENANT_SHARE),
            "connection_bytes": int(most * CONNECTION_SHARE),
            "cache_bytes": int(most * CACHE_SHARE),
        }
        pairs = (part for pair in limits.items() for part in pair)
        await self._keep(keys=[keys.MEMORY], args=[_LIMITS_S, *pairs])

    async def _evict_turns(self) -> None:
        for _ in range(_BATCHES):
            evicted, looked = await self._evict(keys=[keys.TURNS], args=[_BATCH, UNUSED_MS])
            self._evicted(evicted)
            # Not by the evicted ones: entries that stay or have expired come before others.
            if looked < _BATCH:
                return


def _verb(refusing: bool) -> str:
    return "are refused" if refusing else "are accepted again"
