"""LargeRecords: writes history records whose input waits in the payload store."""

import asyncio
import logging
from typing import Protocol

from axon.event_log.log import ResponseMeta
from axon.exceptions import AxonError, LostPayloadError
from axon.formats import Format, UnreadableError
from axon.history import HistoryRecord, HistoryStore
from axon.inputs import LargeInputs

logger = logging.getLogger(__name__)

ENDS_S = 2.0
"""Seconds to wait for a response's end in the log: its record is sent a moment before. What has not
ended by then, in a failover of Valkey, keeps its input, which expires."""
_LOOK_S = 0.05
_NOTHING = b"[]"


class Log(Protocol):
    """Knows which responses have ended (`axon.event_log.log.EventLog`)."""

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return a response's state; None if it has no log."""
        ...


class LargeRecords:
    """Writes records one at a time, since each brings up to 20 MB.

    An input passes as it is, undecoded: as objects it could take 25 times its bytes.

    Parameters
    ----------
    store : HistoryStore
        The database.
    inputs : LargeInputs
        The payload store.
    log : Log
        Knows which responses have ended.
    ends_s : float
        Seconds to wait for a response's end.
    """

    def __init__(
        self, *, store: HistoryStore, inputs: LargeInputs, log: Log, ends_s: float = ENDS_S
    ) -> None:
        self._store = store
        self._inputs = inputs
        self._log = log
        self._ends_s = ends_s

    async def write(self, record: HistoryRecord) -> None:
        """Write a record with its input, which is deleted from the payload store after the end.

        An attempt that follows a worker's death needs it, and sends a record of its own.

        Raises
        ------
        UnavailableError
            The database or the payload store is away, or the store refuses.
        UnreadableError
            The database can never take it, or neither of them has its input.
        """
        content = await self._input(record)
        await self._store.write([record], inputs={record.response_id: content})
        if await self._has_ended(record.response_id):
            await self._inputs.discard(record)

    async def _input(self, record: HistoryRecord) -> bytes:
        if (payload := record.input_payload) is None:
            return _NOTHING
        try:
            return await self._inputs.content(payload)
        except LostPayloadError:
            # An earlier delivery of this record, or of one of another attempt, has been written, or
            # the response was deleted. A later record changes a row, but not its input.
            if not await self._store.knows(record.response_id):
                reason = "its input is not kept any more"
                raise UnreadableError(Format.HISTORY_RECORD, reason) from None
            return _NOTHING

    async def _has_ended(self, response_id: str) -> bool:
        """Return whether no attempt can follow, which would need the input."""
        until = asyncio.get_running_loop().time() + self._ends_s
        while True:
            try:
                meta = await self._log.describe(response_id)
            except AxonError as error:
                logger.warning("the input of %s expires by itself: %s", response_id, error)
                return False
            if meta is None or meta.status.terminal:
                return True
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(_LOOK_S)
