"""The relay's lease: as long as it is renewed, new responses may be given to this relay."""

import time
from collections.abc import Callable

from axon.directory.relays import RelayDirectory


class Lease:
    """Renewed by `beat`, several times within its length."""

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

    @property
    def beat_s(self) -> float:
        """Seconds from beat to beat."""
        return self._length_s / 3

    @property
    def alive(self) -> bool:
        """Whether the last beat is not too long ago."""
        return self._clock() < self._until

    async def beat(self) -> None:
        """Enter the relay in the directory, or keep it there."""
        until = self._clock() + self._length_s
        await self._directory.heartbeat(self._relay_id, lease_s=self._length_s)
        self._until = until

    async def end(self) -> None:
        """Take the relay out of the directory: it gets no new responses."""
        self._until = 0.0
        await self._directory.leave(self._relay_id)
