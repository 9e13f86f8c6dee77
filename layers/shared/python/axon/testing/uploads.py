"""Fakes of what uploads need: a budget in memory, and a signer of URLs that lead nowhere."""

import asyncio
from collections import defaultdict

from typing_extensions import override

from axon.payloads import PayloadReference
from axon.uploads import BUDGET_BYTES, REFILL_S, URL_S, SignedUpload, UploadBudget, UploadSigner


class FakeUploadBudget(UploadBudget):
    """A token bucket for each tenant; nothing is forgotten."""

    def __init__(self) -> None:
        self._full_at = defaultdict[str, float](float)

    @override
    async def take(self, tenant_id: str, count: int) -> float:
        now = asyncio.get_running_loop().time()
        full = max(now, self._full_at[tenant_id]) + count * REFILL_S / BUDGET_BYTES
        if full - now > REFILL_S:
            return full - now - REFILL_S
        self._full_at[tenant_id] = full
        return 0.0


class FakeUploadSigner(UploadSigner):
    """The key of the payload in place of a signature."""

    @override
    def sign(self, reference: PayloadReference) -> SignedUpload:
        return SignedUpload(
            url=f"https://payloads.example/{reference.key}",
            headers={"Content-Length": str(reference.size)},
            expires_at=URL_S,
        )
