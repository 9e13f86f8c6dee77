"""Permits for quarantine: one worker of a fleet at a time runs a suspect alone."""

from typing import Protocol

PERMIT_LEASE_S = 5.0
"""Seconds after which a permit that is not renewed ends: its worker has died."""


class QuarantinePermits(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def acquire(self, holder: str) -> bool:
        """Take the permit, or renew it for its holder, for `PERMIT_LEASE_S`.

        Parameters
        ----------
        holder : str
            Names one quarantine; never used again.

        Returns
        -------
        bool
            False if another quarantine has the permit, or had it a moment ago.
        """
        ...

    async def release(self, holder: str, *, pause_s: float) -> None:
        """Return the permit; nobody gets it for `pause_s` seconds, so that workers work, too."""
        ...
