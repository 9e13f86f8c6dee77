"""ValkeyResponseTraces: erases what Valkey keeps of a response, in one step."""

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.responses.deletion import ResponseTraces

MARKER_LIFE_S = 3600
"""Seconds for which a deleted turn cannot be put back: longer than any request reads turns."""

DELIVERY_S = 10
"""Seconds in which a relay delivers what it still has of a response that was cancelled."""


class ValkeyResponseTraces(ResponseTraces):
    """See `axon.responses.deletion.ResponseTraces`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._erase = Script(valkey, "erase", after=("now_ms", "held"), when_full=True)

    @override
    async def erase(self, response_id: str) -> None:
        erased = [
            keys.turn(response_id),
            keys.response(response_id),
            keys.events(response_id),
            keys.journal(response_id),
            keys.pending_history(response_id),
            keys.TURNS,
        ]
        await self._erase(keys=erased, args=[response_id, MARKER_LIFE_S, DELIVERY_S])
