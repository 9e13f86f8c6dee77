"""The directory of relays: which are alive, and what each still has to deliver."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.lanes import NO_LANE, LanePosition

LATE_RELAY_S = 30
"""Seconds after the end of its lease in which a relay still gets responses if none is alive.

It may only be late with its heartbeat, and if it is dead, another takes its deliveries over.
"""

LOST_S = 60
"""Seconds for which `RelayDirectory.note_lost` counts: the relay itself closes such a connection
within 4 s, and a takeover waits for its lease (2 s) and, after an outage, 6 s more."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A response taken over from another relay, with its last checkpoint and its place."""

    response_id: str
    connection_id: str
    checkpoint: DeliveryCheckpoint
    position: LanePosition = NO_LANE


class RelayDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        """Register the relay, or renew its lease."""
        ...

    async def end_lease(self, relay_id: str) -> None:
        """End the relay's lease: it gets no new responses, and peers take over what it has."""
        ...

    async def undelivered(self, relay_id: str) -> set[str]:
        """Return ids of the responses that the relay has not delivered to their end."""
        ...

    async def delivered(
        self, relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        """Note that a response was delivered to its end, or cannot be delivered any more.

        With a connection it changes nothing once the response was resumed at another one.
        """
        ...

    async def note_lost(self, relay_id: str, connection_ids: Collection[str]) -> None:
        """Note that the relay has clients on these connections whose responses no log has.

        Should it die, nobody else would know that they wait. For `LOST_S`.
        """
        ...

    async def lost(self, relay_id: str) -> set[str]:
        """Return the connections that the relay has noted as `note_lost` says."""
        ...

    async def expired(self) -> list[str]:
        """Return the relays whose lease has ended and that may have deliveries to take over."""
        ...

    async def lapsed(self) -> list[str]:
        """Return the relays of `expired` that did not end their lease themselves."""
        ...

    async def take_over(
        self, relay_id: str, *, successor_id: str, limit: int = 100
    ) -> list[TakenOver]:
        """Take over what a relay without a lease has to deliver, of up to `limit` connections.

        One atomic step moves whole connections, so at any moment a response belongs to exactly one
        relay. A relay that starts again may take over what its own earlier process left. An empty
        result means that nothing is left.
        """
        ...
