"""ResponseRetrieval: finds a response in the event log or, once it is stored, in the database."""

from collections.abc import AsyncGenerator
from contextlib import suppress

from axon.conversations import Conversations, Turn, TurnIdentity
from axon.event_log.checkpoint import is_behind_fork
from axon.event_log.log import EventLog, LoggedEvent, ResponseMeta
from axon.exceptions import LostPayloadError, RequestError, UnavailableError
from axon.history import PendingHistory
from axon.ids import is_id
from axon.inputs import NO_PAYLOADS, LargeInputs
from axon.jobs import Job
from axon.protocol.item_pages import shown_items
from axon.protocol.objects import Json
from axon.protocol.outlines import OutlineError, RemadeEvents
from axon.readers import Readers
from axon.responses.deletion import ResponseRows
from axon.responses.resumption import (
    refuse_hole,
    refused_end,
    refused_number,
    refused_without_log,
    unconfirmed_events,
)
from axon.responses.terminator import unknown_response
from axon.serialization import loads

READERS = 32
"""Stored responses whose events a process makes again at a time: each may be 1 MiB of JSON, which
takes some MB while it is read."""
TENANT_READERS = 8
"""Most of them that are one tenant's: a client that reads slowly holds its turn."""
CONVERSATION_READERS = 2
"""Conversations that a process reads whole at a time, each another tenant's; of up to 50 MB."""
READING_S = 10.0
"""Seconds that a reader waits until there are fewer."""


class ResponseRetrieval:
    """Finds responses of a tenant, running, ended or stored; it changes nothing.

    The log comes first: it has a response's end before the database does.

    Parameters
    ----------
    event_log : EventLog
        Responses that run, or have ended a short while ago.
    rows : ResponseRows
        Stored responses.
    conversations : Conversations
        The cache has the input of a response that has just ended.
    pending : PendingHistory
        Knows of responses that are on their way to the database.
    inputs : LargeInputs
        Has the large inputs of those that are not there yet.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        rows: ResponseRows,
        conversations: Conversations,
        pending: PendingHistory,
        inputs: LargeInputs = NO_PAYLOADS,
    ) -> None:
        self._log = event_log
        self._rows = rows
        self._conversations = conversations
        self._pending = pending
        self._inputs = inputs
        self._reading_whole = Readers(
            limit=CONVERSATION_READERS, tenant_limit=1, within_s=READING_S
        )
        self._reading = Readers(limit=READERS, tenant_limit=TENANT_READERS, within_s=READING_S)

    async def response(self, response_id: str, *, tenant_id: str) -> Json:
        """Return the response object as it is now; a running one has no output yet.

        Raises
        ------
        RequestError
            The tenant has no such response.
        UnavailableError
            It is on its way to the database, or a service that keeps it is away.
        """
        meta = await self._describe(response_id, tenant_id=tenant_id)
        if meta is not None and (found := await self._logged(meta)):
            return found
        stored = await self._rows.read(response_id, tenant_id=tenant_id)
        if stored is None:
            raise await self._missing(response_id, meta, tenant_id=tenant_id)
        return stored.response

    async def identity(self, response_id: str, *, tenant_id: str) -> TurnIdentity:
        """Return where a response is in its conversation, or will be when it has ended.

        Raises
        ------
        RequestError
            The tenant has no such response, or it can never be continued.
        UnavailableError
            As `response`.
        """
        meta = await self._describe(response_id, tenant_id=tenant_id)
        if meta is not None and meta.job:
            return Turn.of(Job.decode(meta.job), output=[])
        heads = await self._conversations.heads_before(
            response_id, tenant_id=tenant_id, connection_id=""
        )
        return heads[-1]

    async def input_items(self, response_id: str, *, tenant_id: str) -> list[Json]:
        """Return the items that the response's request brought, without those of earlier turns.

        Raises
        ------
        RequestError
            The tenant has no such response, or its input is not stored.
        UnavailableError
            As `response`.
        """
        meta = await self._describe(response_id, tenant_id=tenant_id)
        if meta is not None and meta.job:
            job = Job.decode(meta.job)
            with suppress(LostPayloadError):  # the database has it: it has ended just now
                async with self._inputs.room(job):
                    job = await self._inputs.loaded(job)
                return shown_items(job.input, response_id=response_id)
        stored = await self._rows.read(response_id, tenant_id=tenant_id)
        if stored is not None:
            return shown_items(stored.input, response_id=response_id)
        if meta is not None and await self._is_unstored(meta):
            raise RequestError(
                f"The input of response '{response_id}' is not kept: its request had store false.",
                code="response_not_stored",
                param="response_id",
                status=404,
            )
        turns = await self._conversations.chain(response_id, tenant_id=tenant_id, connection_id="")
        if not turns:
            raise await self._missing(response_id, meta, tenant_id=tenant_id)
        async with self._inputs.room(turns[-1]):
            *_, turn = await self._conversations.loaded(turns[-1:])
        return shown_items(turn.input, response_id=response_id)

    async def user_items_before(self, response_id: str | None, *, tenant_id: str) -> list[Json]:
        """Return the user's items of what a request continues, oldest first.

        The whole conversation is read, by a bounded number of readers; only these items are kept.

        Raises
        ------
        RequestError
            The tenant has no such response to continue.
        UnavailableError
            It is not in the database yet, or too many conversations are being read.
        """
        async with self._reading_whole.turn(tenant_id):
            turns = await self._conversations.turns_before(
                response_id, tenant_id=tenant_id, connection_id=""
            )
            turns = await self._conversations.loaded(turns)
            return [item for turn in turns for item in turn.input if item.get("role") == "user"]

    async def stored_events(
        self, response_id: str, *, tenant_id: str, after: int, connection_id: str = ""
    ) -> AsyncGenerator[LoggedEvent, None] | None:
        """Return the events that follow a sequence number, of a response that is only stored.

        They are made again, number for number and delta for delta, as they are read; the caller
        closes the generator. Its first event may raise what this method does.

        Parameters
        ----------
        response_id : str
            The response.
        tenant_id : str
            The tenant that asks.
        after : int
            Sequence number of the last event that the caller has; -1 for all events.
        connection_id : str
            The front's WebSocket that asks, which may know an unstored response; empty for none.

        Returns
        -------
        AsyncGenerator[LoggedEvent, None] | None
            None if the log has the events, or will have them: they are to be followed there.

        Raises
        ------
        RequestError
            The tenant has no such response, it has fewer events, or they are not kept.
        UnavailableError
            As `response`.
        """
        meta = await self._describe(response_id, tenant_id=tenant_id)
        if meta is not None and await self._log.read(response_id, limit=1):
            await self._require_logged(meta, first=after + 1)
            return None
        await self._remade(response_id, tenant_id, connection_id, first=after + 1)
        return self._stored_events(response_id, tenant_id, connection_id, first=after + 1)

    async def _stored_events(
        self, response_id: str, tenant_id: str, connection_id: str, *, first: int
    ) -> AsyncGenerator[LoggedEvent, None]:
        """Yield the events of a stored response, which is read when the first one is."""
        async with self._reading.turn(tenant_id):
            remade = await self._remade(response_id, tenant_id, connection_id, first=first)
            for event in remade.since(first):
                yield event

    async def _require_logged(self, meta: ResponseMeta, *, first: int) -> None:
        """Return if the log has the events from a number on, or will have them."""
        if is_behind_fork(meta.forks, first):
            # Nobody confirms what a reader has, wherever the response is delivered.
            raise unconfirmed_events()
        await refuse_hole(self._log, meta, first=first)
        last = meta.next_sequence - meta.status.terminal
        if first > last and (meta.status.terminal or not meta.incomplete):
            raise await refused_number(self._log, meta.response_id, first)

    async def _remade(
        self, response_id: str, tenant_id: str, connection_id: str, *, first: int
    ) -> RemadeEvents:
        stored = await self._rows.read(response_id, tenant_id=tenant_id)
        if stored is not None and stored.outline is not None:
            if is_behind_fork(stored.outline["forks"], first):
                raise unconfirmed_events()
            if first > stored.last_number:
                raise refused_end(stored.response["status"], first, end=stored.last_number + 1)
            with suppress(OutlineError):  # events were lost, or the record is made from few of them
                return RemadeEvents(stored.response, stored.outline, last=stored.last_number)
        raise await refused_without_log(
            response_id,
            conversations=self._conversations,
            rows=self._rows,
            tenant_id=tenant_id,
            connection_id=connection_id,
        )

    async def _describe(self, response_id: str, *, tenant_id: str) -> ResponseMeta | None:
        if not is_id("resp", response_id):
            raise unknown_response(response_id)
        meta = await self._log.describe(response_id)
        if meta is not None and meta.tenant_id != tenant_id:  # a deleted one has none
            raise unknown_response(response_id)
        return meta

    async def _logged(self, meta: ResponseMeta) -> Json | None:
        """Return the response of the log's first event while it runs, else of its last one."""
        after = meta.next_sequence - 2 if meta.status.terminal else -1
        events = await self._log.read(meta.response_id, after=after, limit=1)
        if not events:
            return None  # its events have expired
        response: Json = loads(events[-1].data)["response"]
        return response if meta.status.terminal else response | {"status": meta.status.value}

    async def _is_unstored(self, meta: ResponseMeta) -> bool:
        found = await self._logged(meta)
        return found is not None and found["store"] is False

    async def _missing(
        self, response_id: str, meta: ResponseMeta | None, *, tenant_id: str
    ) -> RequestError | UnavailableError:
        """Return the error about a response that the database does not have."""
        if meta is None and await self._pending.tenant_of(response_id) != tenant_id:
            return unknown_response(response_id)
        return UnavailableError(f"{response_id} is not in the database yet")
