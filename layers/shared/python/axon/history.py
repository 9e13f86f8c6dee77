"""History: what is written behind, through a queue, into the database."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from typing_extensions import override

from axon.exceptions import PermanentRefusalError
from axon.formats import Format, text_at
from axon.inputs import PAYLOAD_FIELD, InputHolder, InputPayload
from axon.jobs import Job

LOSING_EPOCH = 0
"""An epoch before all others: a record with it replaces none that an attempt has sent.

For ends that are made from less than the client may have seen."""


_NUMBERS = 2**32 - 1
NO_INPUTS: Mapping[str, bytes] = {}


def version_of(*, epoch: int, sequence_number: int) -> int:
    """Return a record's version: a later attempt's record is the newer one."""
    return epoch << 32 | sequence_number


class HistoryRecord(InputHolder):
    """A response that has ended, as the database keeps it.

    Parameters
    ----------
    format : int
        Version of the format (`axon.formats`); `version` is that of the content.
    response_id : str
        Id of the response that has ended.
    previous_response_id : str | None
        The response that it continues; None for the first of a conversation.
    conversation_id : str
        Id that all responses of the conversation share.
    tenant_id : str
        The tenant that may continue it.
    key_id : str
        The API key whose request this was; empty in records from before keys were recorded.
    version : int
        Made by `version_of`; a record with a higher version replaces one with a lower version.
    created_ms, ended_ms : int
        Milliseconds of the Unix epoch.
    response : dict[str, Any]
        The response object as the terminal event shows it.
    input : list[dict[str, Any]]
        The request's input items, without those of earlier turns.
    input_payload : InputPayload | None
        Where they are instead, if they are too large for a message (`axon.inputs`).
    outline : dict[str, Any] | None
        What makes the response's events again (`axon.protocol.outlines`), as the database keeps it;
        None in records from before, and where it is too long.
    """

    FORMAT = Format.HISTORY_RECORD

    response_id: str
    previous_response_id: str | None
    conversation_id: str
    tenant_id: str
    key_id: str = ""
    version: int
    created_ms: int
    ended_ms: int
    response: dict[str, Any]
    input: list[dict[str, Any]]
    input_payload: InputPayload | None = PAYLOAD_FIELD
    outline: dict[str, Any] | None = None

    @property
    def last_number(self) -> int:
        """The sequence number of the terminal event."""
        return self.version & _NUMBERS

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        response: dict[str, Any],
        version: int,
        ended_ms: int,
        outline: dict[str, Any] | None = None,
    ) -> "HistoryRecord":
        """Return the record of a job's response."""
        return cls(
            format=job.format,
            response_id=job.response_id,
            previous_response_id=job.previous_response_id,
            conversation_id=job.conversation_id,
            tenant_id=job.tenant_id,
            key_id=job.key_id,
            version=version,
            created_ms=job.created_ms,
            ended_ms=ended_ms,
            response=response,
            input=job.input,
            input_payload=job.input_payload,
            outline=outline,
        )


def response_id_of(data: str) -> str | None:
    """Return the id of the response that a record is of, even if the record cannot be read.

    Returns
    -------
    str | None
        None if the data names no response: it is not a record of any version.
    """
    return text_at(data, "response_id")


class HistorySender(Protocol):
    """The queue before the database."""

    async def send(self, record: HistoryRecord) -> None:
        """Accept a record: from here on it will reach the database.

        Raises
        ------
        UnavailableError
            The queue did not take it.
        """
        ...


class PendingHistory(Protocol):
    """Notes of the responses that have a record on its way to the database."""

    async def add(self, record: HistoryRecord) -> None:
        """Note that this record is being sent."""
        ...

    async def tenant_of(self, response_id: str) -> str | None:
        """Return the tenant of a response whose record may still be on its way."""
        ...

    async def remove(self, response_ids: Sequence[str]) -> None:
        """Forget responses whose records have arrived, or were set aside."""
        ...


class NoPendingHistory(PendingHistory):
    """Notes nothing, for processes that write no history."""

    @override
    async def add(self, record: HistoryRecord) -> None:
        pass

    @override
    async def tenant_of(self, response_id: str) -> str | None:
        return None

    @override
    async def remove(self, response_ids: Sequence[str]) -> None:
        pass


class NotedHistorySender(HistorySender):
    """Sends records and notes that they are on their way.

    A request may continue the response when the turn has left the cache and the record is still in
    the queue. Without the note nobody could tell such a response from one that never existed.

    Parameters
    ----------
    sender : HistorySender
        The queue.
    pending : PendingHistory
        Where it is noted.
    """

    def __init__(self, *, sender: HistorySender, pending: PendingHistory) -> None:
        self._sender = sender
        self._pending = pending

    @override
    async def send(self, record: HistoryRecord) -> None:
        if record.response["status"] == "failed":  # nothing continues it
            await self._sender.send(record)
            return
        try:
            # At the same time, for the client waits. A note that is written after its record has
            # arrived is left behind; it is asked for only where the database has no such row.
            await asyncio.gather(self._pending.add(record), self._sender.send(record))
        except PermanentRefusalError:
            # It will never arrive. After any other error it may have been sent, and callers retry.
            await self._pending.remove([record.response_id])
            raise


class HistoryStore(Protocol):
    """The database's side."""

    async def write(
        self, records: Sequence[HistoryRecord], *, inputs: Mapping[str, bytes] = NO_INPUTS
    ) -> None:
        """Apply records; repeated and overtaken ones change nothing, later ones no row's input.

        Parameters
        ----------
        records : Sequence[HistoryRecord]
            The records.
        inputs : Mapping[str, bytes]
            By response ids, the inputs as JSON of records whose input is a payload.

        Raises
        ------
        UnavailableError
            The database is away; none was applied.
        UnreadableError
            The database can never take one of them; none was applied.
        """
        ...

    async def knows(self, response_id: str) -> bool:
        """Return whether a response has a row, or was deleted.

        Raises
        ------
        UnavailableError
            The database is away.
        """
        ...
