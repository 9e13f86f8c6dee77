"""The budgets of what tenants upload, in Valkey."""

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.uploads import BUDGET_BYTES, REFILL_S, UploadBudget


class ValkeyUploadBudget(UploadBudget):
    """See `axon.uploads.UploadBudget`.

    A bucket is one number, when it will be full again, and expires then.
    """

    def __init__(self, *, valkey: Valkey) -> None:
        self._take = Script(valkey, "take_tokens", after=("now_ms",))

    @override
    async def take(self, tenant_id: str, count: int) -> float:
        wait_ms: int = await self._take(
            keys=[keys.uploaded(tenant_id)], args=[1000 * REFILL_S, BUDGET_BYTES, count]
        )
        return wait_ms / 1000
