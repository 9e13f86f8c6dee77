"""Permits for quarantine, in Valkey."""

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.directory.quarantine import PERMIT_LEASE_S, QuarantinePermits


class ValkeyQuarantinePermits(QuarantinePermits):
    """See `axon.directory.quarantine.QuarantinePermits`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._script = Script(valkey, "quarantine", when_full=True)

    @override
    async def acquire(self, holder: str) -> bool:
        return await self._keep(holder, seconds=PERMIT_LEASE_S, successor=holder)

    @override
    async def release(self, holder: str, *, pause_s: float) -> None:
        await self._keep(holder, seconds=pause_s, successor=f"after {holder}")

    async def _keep(self, holder: str, *, seconds: float, successor: str) -> bool:
        args = [holder, max(int(seconds * 1000), 1), successor]
        return bool(await self._script(keys=[keys.QUARANTINE], args=args))
