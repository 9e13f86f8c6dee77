"""ResponseDeletion: deletes a response wherever it is kept."""

from dataclasses import dataclass
from typing import Any, Protocol

from axon.event_log.log import EventLog, Status
from axon.history import PendingHistory
from axon.ids import is_id
from axon.inputs import NO_PAYLOADS, LargeInputs
from axon.responses.terminator import ResponseTerminator, unknown_response


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as the database keeps it.

    Parameters
    ----------
    response : dict[str, Any]
        The response object, as its terminal event showed it.
    input : list[dict[str, Any]]
        The request's input items, without those of earlier turns.
    last_number : int
        Sequence number of the terminal event.
    outline : dict[str, Any] | None
        As in `axon.history.HistoryRecord`.
    """

    response: dict[str, Any]
    input: list[dict[str, Any]]
    last_number: int
    outline: dict[str, Any] | None


class ResponseRows(Protocol):
    """The database's side: rows, and tombstones that keep them from coming back."""

    async def read(self, response_id: str, *, tenant_id: str) -> StoredResponse | None:
        """Return the tenant's response; None if it is not stored.

        Raises
        ------
        UnavailableError
            The database is away.
        """
        ...

    async def status(self, response_id: str, *, tenant_id: str) -> str | None:
        """Return the status with which the tenant's response is stored; None if it is not.

        Raises
        ------
        UnavailableError
            The database is away.
        """
        ...

    async def delete(self, response_id: str, *, tenant_id: str, accepted: bool) -> bool:
        """Delete the row and leave a tombstone; return False if the tenant has no such response.

        A response that was deleted before counts as the tenant's.

        Parameters
        ----------
        response_id : str
            The response to delete.
        tenant_id : str
            Only this tenant's response is deleted.
        accepted : bool
            The tenant is known to have it, though the row may not have been written yet.

        Raises
        ------
        UnavailableError
            The database is away; nothing, or everything, was done.
        """
        ...


class ResponseTraces(Protocol):
    """The cache's side: turn, log, and the note of a record that is on its way."""

    async def erase(self, response_id: str) -> None:
        """Erase all content of a response that has ended; it cannot be put back or resumed.

        Events that a relay is about to deliver, or that are followed, are kept for some seconds
        more.
        """
        ...


class ResponseDeletion:
    """Deletes a response in the database and in the cache, in this order.

    The tombstone comes first. From then on no record brings the row back, so whatever dies before
    the end, the client's repeated call completes the deletion.

    Parameters
    ----------
    event_log : EventLog
        Has the tenant of a response, and its state.
    terminator : ResponseTerminator
        Cancels a running one: its worker is fenced off, and its client gets the terminal event.
    pending : PendingHistory
        Has the tenant of a response whose record is on its way.
    rows : ResponseRows
        The database.
    traces : ResponseTraces
        The cache.
    inputs : LargeInputs
        The payload store, which may have the response's input.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        terminator: ResponseTerminator,
        pending: PendingHistory,
        rows: ResponseRows,
        traces: ResponseTraces,
        inputs: LargeInputs = NO_PAYLOADS,
    ) -> None:
        self._log = event_log
        self._terminator = terminator
        self._pending = pending
        self._rows = rows
        self._traces = traces
        self._inputs = inputs

    async def delete(self, response_id: str, *, tenant_id: str) -> None:
        """Delete a response of this tenant; a running one is cancelled first.

        Repeating the call changes nothing and succeeds.

        Raises
        ------
        RequestError
            The tenant has no such response.
        UnavailableError
            A service that keeps it is away; the same call completes the deletion later.
        """
        if not is_id("resp", response_id):
            raise unknown_response(response_id)
        owner = await self._owner(response_id)
        if owner not in (None, tenant_id):
            raise unknown_response(response_id)
        if owner is not None:
            await self._terminator.end(response_id, Status.CANCELLED)
        if not await self._rows.delete(
            response_id, tenant_id=tenant_id, accepted=owner is not None
        ):
            raise unknown_response(response_id)
        await self._traces.erase(response_id)
        await self._inputs.delete(tenant_id=tenant_id, response_id=response_id)

    async def _owner(self, response_id: str) -> str | None:
        """Return the tenant that has the response, as far as the cache knows."""
        meta = await self._log.describe(response_id)
        if meta is not None and meta.tenant_id:  # it has none once it is deleted
            return meta.tenant_id
        return await self._pending.tenant_of(response_id)
