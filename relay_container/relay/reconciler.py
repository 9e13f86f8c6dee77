"""The reconciler: finds what publications missed, by a look into the directory and the log."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from axon.directory.relays import RelayDirectory
from axon.event_log.log import EventLog
from relay.cursor import DeliveryCursor
from relay.dispatcher import Dispatcher
from relay.moves import Destination

FIRST_LOOK_S = 1.0
"""Seconds without a publication after which a delivery reads the log."""
RAREST_LOOK_S = 8.0
"""Upper bound of that time, which doubles with each read."""
LOST_AFTER = 4
"""Consecutive steps without a log after which no worker will restore it any more."""


@dataclass(frozen=True, slots=True)
class _Idle:
    """An idle delivery: no publication since it knew of `known` events."""

    known: int
    look_at: float
    pause_s: float


class DeliveryReconciler:
    """Compares, in one `step` a second, what this relay delivers with what it should deliver.

    - The last publication of a response may have been lost: a delivery without news reads the log
      after a second, then ever more rarely.
    - A response may be this relay's without a delivery here, because the publications of it were
      lost, or the answer to a takeover was: it is looked up in the log.
    - A delivery here may not be this relay's any more: it is dropped if another relay has it, and
      its connection is closed if Valkey has lost it, because its client would wait for nothing.
      Until then the directory has a note of the connection: if this relay dies, the one that takes
      over closes it.

    The directory and the dispatcher are not read in the same instant, so a difference counts only
    if two consecutive steps see it.
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
        self._idle: dict[str, _Idle] = {}
        self._unknown: set[str] = set()
        self._not_ours: dict[str, int] = {}

    async def step(self) -> None:
        """Compare once, and repair what differs for the second time."""
        self._dispatcher.confirm_all()
        ours = await self._directory.undelivered(self._relay_id)
        # Taken after the await: a delivery that ended meanwhile is no longer compared.
        known = self._dispatcher.deliveries
        self._read_idle()
        await self._part_with(known.keys() - ours)
        await self._find(ours - known.keys())

    def _read_idle(self) -> None:
        now = self._clock()
        # Built again each time, so that deliveries that have ended leave nothing behind.
        self._idle = {
            response_id: self._look(delivery, self._idle.get(response_id), now)
            for response_id, delivery in self._dispatcher.deliveries.items()
        }

    def _look(self, delivery: DeliveryCursor, idle: _Idle | None, now: float) -> _Idle:
        if idle is None or idle.known != delivery.known:
            return _Idle(delivery.known, now + FIRST_LOOK_S, FIRST_LOOK_S)
        if now < idle.look_at:
            return idle
        self._dispatcher.request_read(delivery)
        pause_s = min(RAREST_LOOK_S, idle.pause_s * 2)
        return _Idle(delivery.known, now + pause_s, pause_s)

    async def _part_with(self, not_ours: set[str]) -> None:
        """Drop or close deliveries that the directory does not list for this relay."""
        self._not_ours = {key: self._not_ours.get(key, 0) + 1 for key in not_ours}
        await self._note_lost()
        for response_id, steps in self._not_ours.items():
            if steps < 2:
                continue
            meta = await self._log.describe(response_id)
            delivery = self._dispatcher.deliveries.get(response_id)  # may have ended meanwhile
            if delivery is None or (meta is None and steps < LOST_AFTER):
                continue
            if meta is not None and delivery.generation != self._log.generation:
                continue  # its writer finds out what the new generation has of it
            if meta is not None and meta.relay_id != self._relay_id:
                self._dispatcher.drop(response_id, to=Destination.of(meta))
            else:
                self._dispatcher.close(delivery.connection_id)

    async def _note_lost(self) -> None:
        """Note what the log does not confirm after a failover, without waiting for another look."""
        deliveries = (self._dispatcher.deliveries.get(key) for key in self._not_ours)
        lost = {
            delivery.connection_id
            for delivery in deliveries
            if delivery is not None and delivery.generation != self._log.generation
        }
        if lost:
            await self._directory.note_lost(self._relay_id, lost)

    async def _find(self, unknown: set[str]) -> None:
        for response_id in unknown & self._unknown:
            await self._dispatcher.find(response_id)
        self._unknown = unknown
