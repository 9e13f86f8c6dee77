"""The directory of relays: who is alive, and what each has still to deliver."""

from dataclasses import dataclass
from typing import Protocol

from axon.event_log.checkpoint import DeliveryCheckpoint

LATE_RELAY_S = 30
"""So long after its lease a relay is still given responses, if there is no better one."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A response that another relay had to deliver, and how far that one came."""

    response_id: str
    connection_id: str
    checkpoint: DeliveryCheckpoint


class RelayDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        """Enter the relay, or extend its lease."""
        ...

    async def leave(self, relay_id: str) -> None:
        """End the relay's lease: it gets no new responses, and others adopt what it has."""
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

    async def expired(self) -> list[str]:
        """Return relays whose lease has ended and that may have something to adopt."""
        ...

    async def take_over(
        self, relay_id: str, *, successor_id: str, limit: int = 100
    ) -> list[TakenOver]:
        """Take over what a relay without a lease has to deliver, of up to `limit` connections.

        In one step, whole connections at a time: each response is some relay's at any moment. A
        relay that starts again may adopt what its former life had. Nothing is left when nothing
        is returned.
        """
        ...
