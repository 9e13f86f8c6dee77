"""The fences of responses, in Valkey."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.event_log.fence import Fence, Fences
from axon.event_log.log import Status


class ValkeyFences(Fences):
    """See `axon.event_log.fence.Fences`; the client sends all reads of a call in one write."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey

    @override
    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        return await asyncio.gather(*map(self._fence, response_ids))

    async def _fence(self, response_id: str) -> Fence | None:
        # These fields only: the hash has the job, too, which may be 256 KB.
        status, epoch, nonce = await self._valkey.call(
            "HMGET", keys.response(response_id), "status", "epoch", "claim"
        )
        if status is None:
            return None
        return Fence(Status(status.decode()), int(epoch), (nonce or b"").decode())
