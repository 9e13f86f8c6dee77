"""Finds what the subscription missed: compares what is to be delivered with what is known."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from axon.directory.relays import RelayDirectory
from axon.event_log.log import EventLog
from relay.cursor import DeliveryCursor
from relay.dispatcher import Dispatcher

FIRST_LOOK_S = 1.0
RAREST_LOOK_S = 8.0
LOST_AFTER = 4
"""So many looks in a row have not found a log when nobody will restore it."""


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A delivery of which nothing was heard since it knew of `known` events."""

    known: int
    look_at: float
    pause_s: float


class DeliveryReconciler:
    """One `step` a second.

    Of a response without news the log is read after a second, then ever more rarely: the last
    publication may have been lost. What is the relay's but unknown to it, or the other way round,
    must be so twice before it counts, because the two are not looked at in the same instant.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        log: EventLog,
        directory: RelayDirectory,
        relay_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._log = log
        self._directory = directory
        self._relay_id = relay_id
        self._clock = clock
        self._quiet: dict[str, _Quiet] = {}
        self._unknown: set[str] = set()
        self._not_ours: dict[str, int] = {}

    async def step(self) -> None:
        """Look once."""
        ours = await self._directory.undelivered(self._relay_id)
        known = self._dispatcher.deliveries
        self._look_after_quiet()
        await self._part_with(known.keys() - ours)
        await self._find(ours - known.keys())

    def _look_after_quiet(self) -> None:
        now = self._clock()
        self._quiet = {
            response_id: self._look(delivery, self._quiet.get(response_id), now)
            for response_id, delivery in self._dispatcher.deliveries.items()
        }

    def _look(self, delivery: DeliveryCursor, quiet: _Quiet | None, now: float) -> _Quiet:
        if quiet is None or quiet.known != delivery.known:
            return _Quiet(delivery.known, now + FIRST_LOOK_S, FIRST_LOOK_S)
        if now < quiet.look_at:
            return quiet
        self._dispatcher.doubt(delivery)
        pause_s = min(RAREST_LOOK_S, quiet.pause_s * 2)
        return _Quiet(delivery.known, now + pause_s, pause_s)

    async def _part_with(self, not_ours: set[str]) -> None:
        """Another relay has taken them; or Valkey has lost them, and their clients wait in vain."""
        self._not_ours = {key: self._not_ours.get(key, 0) + 1 for key in not_ours}
        for response_id, looks in self._not_ours.items():
            if looks < 2:
                continue
            meta = await self._log.describe(response_id)
            delivery = self._dispatcher.deliveries.get(response_id)
            if delivery is None or (meta is None and looks < LOST_AFTER):
                continue
            if meta is not None and meta.relay_id != self._relay_id:
                self._dispatcher.drop(response_id)
            else:
                self._dispatcher.close(delivery.connection_id)

    async def _find(self, unknown: set[str]) -> None:
        for response_id in unknown & self._unknown:
            await self._dispatcher.find(response_id)
        self._unknown = unknown
