"""The fences of responses in memory."""

from collections.abc import Sequence

from typing_extensions import override

from axon.event_log.fence import Fence, Fences
from axon.event_log.log import EventLog


class FakeFences(Fences):
    """See `axon.event_log.fence.Fences`.

    Parameters
    ----------
    log : EventLog
        The log whose responses are asked for.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log

    @override
    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        metas = [await self._log.describe(each) for each in response_ids]
        return [Fence(m.status, m.epoch, m.nonce) if m else None for m in metas]
