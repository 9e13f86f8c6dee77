"""Conversations: the turns that a response continues, kept in a cache before the database."""

from collections.abc import Sequence
from typing import Any, Protocol

from axon.exceptions import HistoryPendingError, LostPayloadError, RequestError
from axon.formats import Format, FormattedModel
from axon.history import NoPendingHistory, PendingHistory
from axon.ids import is_id
from axon.inputs import (
    NO_PAYLOADS,
    PAYLOAD_FIELD,
    InputHolder,
    InputPayload,
    LargeInputs,
    calls_in,
)
from axon.jobs import Job

_NOTHING_PENDING = NoPendingHistory()


class TurnIdentity(FormattedModel):
    """The fields of a turn that decide whether a request may continue it.

    Parameters
    ----------
    response_id : str
        Id of the response that has ended.
    previous_response_id : str | None
        The response that it continues; None for the first of a conversation.
    conversation_id : str
        Id that all responses of the conversation share.
    tenant_id : str
        The tenant that may continue it.
    connection_id : str | None
        Set when the turn is not stored: it lives and dies with this connection, or with this
        WebSocket of a front. Empty if its response had none (a worker of the version before keeps
        such a turn): nobody can continue it.
    """

    FORMAT = Format.TURN

    response_id: str
    previous_response_id: str | None
    conversation_id: str
    tenant_id: str
    connection_id: str | None = None

    def visible_to(self, *, tenant_id: str, connection_id: str) -> bool:
        """Return whether a request of this tenant on this connection may continue the turn."""
        if self.connection_id is not None and self.connection_id != (connection_id or None):
            return False
        return self.tenant_id == tenant_id


class Turn(TurnIdentity, InputHolder):
    """A response that has ended, with what was asked and what was answered.

    Parameters
    ----------
    input : list[dict[str, Any]]
        The request's input items, without those of earlier turns.
    input_payload : InputPayload | None
        Where they are instead, if they are too large for the cache (`axon.inputs`).
    output : list[dict[str, Any]]
        The output items of the response.
    """

    input: list[dict[str, Any]]
    input_payload: InputPayload | None = PAYLOAD_FIELD
    output: list[dict[str, Any]]

    @classmethod
    def of(cls, job: Job, *, output: list[dict[str, Any]]) -> "Turn":
        """Return the turn that a finished job makes; see `Job.continuable`."""
        return cls(
            format=job.format,
            response_id=job.response_id,
            previous_response_id=job.previous_response_id,
            conversation_id=job.conversation_id,
            tenant_id=job.tenant_id,
            connection_id=None if job.stored else job.turn_connection_id,
            input=job.input,
            input_payload=job.input_payload,
            output=output,
        )


class TurnHead(TurnIdentity):
    """The part of a turn that decides whether a request may continue it, without its content.

    Parameters
    ----------
    call_ids : tuple[str, ...]
        Function calls of the turn, which a request's outputs may answer.
    size : int
        Bytes of the turn as it is cached, and of its payload.
    items : int
        Number of its items; 0 in a head that the version before has written.
    """

    call_ids: tuple[str, ...] = ()
    size: int = 0
    items: int = 0

    @classmethod
    def of(cls, turn: Turn, *, size: int | None = None) -> "TurnHead":
        """Return the head of a turn; `size` if the turn has been encoded already."""
        payload = turn.input_payload
        items = turn.output if payload else [*turn.input, *turn.output]
        size = len(turn.encode()) if size is None else size
        return cls(
            format=turn.format,
            response_id=turn.response_id,
            previous_response_id=turn.previous_response_id,
            conversation_id=turn.conversation_id,
            tenant_id=turn.tenant_id,
            connection_id=turn.connection_id,
            call_ids=(payload.call_ids if payload else ()) + calls_in(items),
            size=size + (payload.size if payload else 0),
            items=len(items) + (payload.items if payload else 0),
        )


class TurnStore(Protocol):
    """A store of turns to read from: the cache, or the database."""

    async def chain(self, response_id: str) -> list[Turn]:
        """Return the turns that lead to this response, oldest first, its own last.

        What is missing is missing from the oldest end; nothing known gives an empty list.
        """
        ...


class TurnCache(TurnStore, Protocol):
    """The store in front, which is written first and may forget."""

    async def heads(self, response_id: str) -> list[TurnHead]:
        """Return the heads of what `chain` returns; this does not count as use."""
        ...

    async def put(self, turns: Sequence[Turn]) -> None:
        """Keep turns; the cache may drop them later."""
        ...

    async def evict(self, response_id: str) -> None:
        """Drop a turn."""
        ...


class EditableTurnCache(TurnCache, Protocol):
    """A cache of turns that clients may change in the database behind it."""

    async def forget(self, response_id: str) -> None:
        """Drop a stored turn that was changed in the database; take no copy for two minutes.

        A reader may have read the database before the change, and be about to put what it found.
        """
        ...


class Conversations:
    """Reads turns through the cache.

    Parameters
    ----------
    cache : TurnCache
        Asked first; refilled from the database.
    database : TurnStore
        Asked for what the cache does not have.
    pending : PendingHistory
        Tells a turn that neither has yet from one that never was.
    inputs : LargeInputs
        Has the inputs of cached turns that are too large for the cache.
    """

    def __init__(
        self,
        *,
        cache: TurnCache,
        database: TurnStore,
        pending: PendingHistory = _NOTHING_PENDING,
        inputs: LargeInputs = NO_PAYLOADS,
    ) -> None:
        self._cache = cache
        self._database = database
        self._pending = pending
        self._inputs = inputs

    async def chain(
        self, response_id: str, *, tenant_id: str, connection_id: str
    ) -> list[Turn] | None:
        """Return the turns up to this response's, oldest first; None if there is none to see.

        Large inputs are payloads: `loaded` reads them.

        Raises
        ------
        HistoryPendingError
            A turn has left the cache, and its record is still on its way to the database.
        """
        turns = await self._cache.chain(response_id)
        missing = turns[0].previous_response_id if turns else response_id
        if missing is not None:
            older = await self._database.chain(missing)
            lost = older[0].previous_response_id if older else missing
            if lost is not None:
                # Only now, so that a conversation that can be read costs nothing more.
                if await self._pending.tenant_of(lost) == tenant_id:
                    raise HistoryPendingError(response_id)
                return None
            await self._cache.put(older)
            # Valkey may have been away when the records arrived. Left, the notes would keep these
            # turns from being evicted, and would outlive the rows that retention deletes.
            await self._pending.remove([turn.response_id for turn in older])
            turns = older + turns
        visible = all(t.visible_to(tenant_id=tenant_id, connection_id=connection_id) for t in turns)
        return turns if visible else None

    async def turns_before(
        self, previous_response_id: str | None, *, tenant_id: str, connection_id: str
    ) -> list[Turn]:
        """Return the turns that a request continues, oldest first; none if it continues nothing.

        Large inputs are payloads: `loaded` reads them.

        Raises
        ------
        RequestError
            There is no such response, or it is not this tenant's and connection's to continue.
        HistoryPendingError
            There is, but it is not in the database yet.
        """
        if previous_response_id is None:
            return []
        turns = None
        # A client may send anything here, and not all of it is safe in a key.
        if is_id("resp", previous_response_id):
            turns = await self.chain(
                previous_response_id, tenant_id=tenant_id, connection_id=connection_id
            )
        if turns is None:
            raise _unknown(previous_response_id)
        return turns

    async def loaded(self, turns: Sequence[Turn]) -> list[Turn]:
        """Return turns with their inputs; oldest first, as they are given.

        An input that the payload store does not have any more is in the database: it is deleted
        from the store when it has arrived there.

        Raises
        ------
        LostPayloadError
            Neither has it.
        UnavailableError
            The store or the database is away.
        """
        newer = list[Turn]()
        for turn in reversed(turns):
            try:
                newer.append(await self._inputs.loaded(turn))
            except LostPayloadError:
                older = await self._database.chain(turn.response_id)
                if not older:
                    raise
                return older + newer[::-1]
        return newer[::-1]

    async def heads_before(
        self, previous_response_id: str | None, *, tenant_id: str, connection_id: str
    ) -> list[TurnHead]:
        """Return the heads of `turns_before`, and read no content where the cache has all of them.

        The worker reads the content. To read it here, too, only to decide whether the request can
        be accepted, would double the bytes that each request costs Valkey.

        Raises
        ------
        RequestError, HistoryPendingError
            As `turns_before`.
        """
        who = {"tenant_id": tenant_id, "connection_id": connection_id}
        if previous_response_id is not None and is_id("resp", previous_response_id):
            heads = await self._cache.heads(previous_response_id)
            if heads and heads[0].previous_response_id is None:
                if all(head.visible_to(**who) for head in heads):
                    return heads
                raise _unknown(previous_response_id)
        return [TurnHead.of(turn) for turn in await self.turns_before(previous_response_id, **who)]


MAX_TURNS = 500
"""Most turns of a conversation that a request continues."""
MAX_CONVERSATION_BYTES = 50_000_000
"""Most bytes of its turns: 500 of 100 KB. Each request reads all of them."""
MAX_CONVERSATION_ITEMS = 20_000
"""Most items of its turns: each takes about 1 KB of memory beside its text when it is read."""


def check_length(turns: Sequence[TurnHead], *, param: str = "previous_response_id") -> None:
    """Refuse to continue a conversation that is too long; `param` names what continues it.

    Raises
    ------
    RequestError
        It has more turns, bytes or items than the limits.
    """
    size, items = sum(turn.size for turn in turns), sum(turn.items for turn in turns)
    if len(turns) >= MAX_TURNS or size > MAX_CONVERSATION_BYTES or items >= MAX_CONVERSATION_ITEMS:
        raise RequestError(
            f"The conversation is too long: {len(turns)} turns, {items} items and "
            f"{size // 1_000_000} MB; at most {MAX_TURNS} turns, "
            f"{MAX_CONVERSATION_ITEMS} items and {MAX_CONVERSATION_BYTES // 1_000_000} MB can be "
            "continued. "
            "Start a new conversation, with a summary of this one as its input.",
            code="conversation_too_long",
            param=param,
        )


def _unknown(previous_response_id: str) -> RequestError:
    return RequestError(
        f"Previous response with id '{previous_response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )
