"""The indexes of deadlines and of abandoned responses, in Valkey."""

import secrets

from typing_extensions import override

from axon.adapters.valkey import event_log_codec as codec
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.generation import GENERATION
from axon.deadlines import Deadlines
from axon.directory.models import SILENCE_S
from axon.event_log.due import DueIndex, DueReason, DueResponse, Taken
from axon.formats import UnreadableError, log_refusal

LEASE_S = 20.0
"""Seconds for which what was taken is the taker's; an end takes some milliseconds, and the sweeper
gives it up after 15 s (`axon.responses.sweeper.END_WITHIN_S`). Were the lease shorter, two relays
would fence each other off while a service hangs, and neither would end the response."""
AWAY_S = 10.0
"""Seconds without a sweep after which Valkey, or every relay, was away: there is one a second."""
GRACE_S = 30.0
"""Seconds for which nothing is taken then: longer than clients and workers take to come back. For
as long nothing abandoned is taken after a failover, which may have undone resumptions."""
MOST_BYTES = 200_000
"""Bytes of jobs that one call takes, so that no script runs longer than 5 ms."""


class ValkeyDueIndex(DueIndex):
    """See `axon.event_log.due.DueIndex`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    deadlines : Deadlines
        Deadlines of responses that were opened without any, by the version before.
    retention_s : float
        Seconds for which the log of a response is kept beyond its deadlines.
    lease_s, away_s, grace_s : float
        See the constants of this module.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        deadlines: Deadlines,
        retention_s: float,
        lease_s: float = LEASE_S,
        away_s: float = AWAY_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._valkey = valkey
        self._deadlines = deadlines.encode()
        self._sweep_arguments = [
            *(int(seconds * 1000) for seconds in (lease_s, away_s, grace_s, SILENCE_S)),
            int(deadlines.keep_open_s + retention_s),
            self._deadlines,
        ]
        self._take = Script(
            valkey, "take_due", after=("now_ms", "generation", "held", "due"), when_full=True
        )
        self._is_overdue = Script(valkey, "is_overdue", after=("now_ms", "due"), when_full=True)

    @override
    async def take_overdue(self, *, limit: int) -> Taken:
        return await self._take_from(keys.DEADLINES, "deadline", limit)

    @override
    async def take_abandoned(self, *, limit: int) -> Taken:
        return await self._take_from(keys.ABANDONED, "abandoned", limit)

    @override
    async def is_overdue(self, response_id: str) -> bool | None:
        answer: int = await self._is_overdue(
            keys=[keys.response(response_id), keys.DEADLINES, *_CAPACITY_KEYS],
            args=[response_id, int(SILENCE_S * 1000), self._deadlines],
        )
        return None if answer < 0 else bool(answer)

    async def _take_from(self, index: str, kind: str, limit: int) -> Taken:
        more, *rows = await self._take(
            keys=[index, keys.sweeps(index), keys.taken(secrets.token_hex(8)), *_CAPACITY_KEYS],
            args=[kind, limit, MOST_BYTES, *self._sweep_arguments, GENERATION],
        )
        due = [each for row in rows if (each := _read(*row, generation=self._valkey.generation))]
        return Taken(due, more=bool(more))


def _read(
    response_id: bytes, reason: bytes, fields: list[bytes], *, generation: str
) -> DueResponse | None:
    """Return a response that was taken; None if only a newer version can read it.

    A relay of that version takes it when the lease ends.
    """
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        meta = codec.meta(response_id.decode(), named, generation)
        return DueResponse(meta, DueReason(reason.decode()))
    except UnreadableError as error:
        log_refusal(error)
        return None


_CAPACITY_KEYS = (keys.MODELS_LAST_SEEN, keys.MODELS_SERVED_SINCE, keys.WORKERS)
"""From these the script sees whether a worker can serve a response, and since when."""
