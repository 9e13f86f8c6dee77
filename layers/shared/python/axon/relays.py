"""The directory of relays: who is alive, and what each has still to deliver."""

from typing import Protocol

LATE_RELAY_S = 30
"""So long after its lease a relay is still given responses, if there is no better one."""


class RelayDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        """Enter the relay, or extend its lease."""
        ...

    async def leave(self, relay_id: str) -> None:
        """Take the relay out, so that it gets no new responses; what it has stays its own."""
        ...

    async def undelivered(self, relay_id: str) -> set[str]:
        """Return ids of the responses that the relay has not delivered to their end."""
        ...

    async def delivered(self, relay_id: str, response_id: str) -> None:
        """Note that a response was delivered to its end, or cannot be delivered any more."""
        ...

    async def take_expired(self) -> list[str]:
        """Return relays whose lease has ended; each is returned to exactly one caller."""
        ...
