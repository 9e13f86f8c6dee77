"""Finds what the subscription missed: compares what is to be delivered with what is known."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from axon.event_log import EventLog
from axon.relays import RelayDirectory
from relay.delivery import Delivery
from relay.feeds import Feeds
from relay.settlement import Settlement

FIRST_LOOK_S = 1.0
RAREST_LOOK_S = 8.0


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A delivery of which nothing was heard since it knew of `known` events."""

    known: int
    look_at: float
    pause_s: float


class Rescan:
    """One `step` a second.

    Of a response without news the log is read after a second, then ever more rarely: the last
    publication may have been lost. What is the relay's but unknown to it, or the other way round,
    must be so twice before it counts, because the two are not looked at in the same instant.
    """

    def __init__(
        self,
        *,
        feeds: Feeds,
        log: EventLog,
        directory: RelayDirectory,
        settlement: Settlement,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feeds = feeds
        self._log = log
        self._directory = directory
        self._settlement = settlement
        self._clock = clock
        self._quiet: dict[str, _Quiet] = {}
        self._unknown: set[str] = set()
        self._not_ours: set[str] = set()

    async def step(self) -> None:
        """Look once."""
        ours = await self._directory.undelivered(self._settlement.relay_id)
        known = self._feeds.deliveries
        self._look_after_quiet()
        self._close_lost(known.keys() - ours)
        await self._find(ours - known.keys())

    def _look_after_quiet(self) -> None:
        now = self._clock()
        self._quiet = {
            response_id: self._look(delivery, self._quiet.get(response_id), now)
            for response_id, delivery in self._feeds.deliveries.items()
        }

    def _look(self, delivery: Delivery, quiet: _Quiet | None, now: float) -> _Quiet:
        if quiet is None or quiet.known != delivery.known:
            return _Quiet(delivery.known, now + FIRST_LOOK_S, FIRST_LOOK_S)
        if now < quiet.look_at:
            return quiet
        self._feeds.doubt(delivery)
        pause_s = min(RAREST_LOOK_S, quiet.pause_s * 2)
        return _Quiet(delivery.known, now + pause_s, pause_s)

    def _close_lost(self, not_ours: set[str]) -> None:
        """Valkey has lost them, or another relay took them: their clients would wait in vain."""
        for response_id in not_ours & self._not_ours:
            if delivery := self._feeds.deliveries.get(response_id):
                self._feeds.close(delivery.connection_id)
        self._not_ours = not_ours

    async def _find(self, unknown: set[str]) -> None:
        for response_id in unknown & self._unknown:
            meta = await self._log.describe(response_id)
            if meta is None or self._feeds.has_ended(response_id):
                await self._settlement.delivered(response_id)
            else:
                self._feeds.resume(response_id, meta.connection_id)
        self._unknown = unknown
