"""The relay's lease: while it is renewed, the relay gets new responses and keeps what it has."""

import time
from collections.abc import Callable

from axon.directory.relays import RelayDirectory

RESUMED_LEASES = 3
"""Lengths of a lease for which others may still be away after this relay's lease had ended: their
connections hang for at most 5 s, and leases last 2 s."""


class Lease:
    """Renewed by `beat`, several times within its length.

    Parameters
    ----------
    relay_id : str
        The relay that holds it.
    directory : RelayDirectory
        Stores the lease.
    length_s : float
        Seconds from a renewal to the lease's end.
    clock : Callable[[], float]
        Seconds. Valkey decides by its own clock; this one tells whether the last renewal is recent.
    """

    def __init__(
        self,
        *,
        relay_id: str,
        directory: RelayDirectory,
        length_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay_id = relay_id
        self._directory = directory
        self._length_s = length_s
        self._clock = clock
        self._until = 0.0
        self._resumed_until = 0.0

    @property
    def beat_s(self) -> float:
        """Seconds from one renewal to the next."""
        return self._length_s / 3

    @property
    def resumed(self) -> bool:
        """True for `RESUMED_LEASES` lengths after leases had ended: this one, or others before it.

        A relay that starts cannot tell a peer that has died from one that an outage of Valkey has
        kept from renewing its lease. Where another relay is alive, that one takes over meanwhile.
        """
        return self._clock() < self._resumed_until

    @property
    def alive(self) -> bool:
        """True until the lease ends, by this process's clock."""
        return self._clock() < self._until

    async def beat(self) -> None:
        """Enter the relay in the directory, or renew its lease."""
        # Taken before the call: Valkey counts from a later moment, so this relay considers its
        # lease ended before another one does.
        until = self._clock() + self._length_s
        resumed = not self.alive if self._until else await self._follows_others()
        await self._directory.heartbeat(self._relay_id, lease_s=self._length_s)
        if resumed:
            self._resumed_until = self._clock() + RESUMED_LEASES * self._length_s
        self._until = until

    async def _follows_others(self) -> bool:
        """Return whether other relays' leases have ended before this one's first."""
        return any(relay_id != self._relay_id for relay_id in await self._directory.lapsed())

    async def end(self) -> None:
        """End the lease: the relay gets no new responses, and others take over what it has."""
        self._until = 0.0
        await self._directory.end_lease(self._relay_id)
