"""The event log in Valkey: one Lua script a step, so that each is atomic."""

import secrets
from collections.abc import Collection, Sequence
from itertools import count
from math import ceil
from typing import Any

from typing_extensions import override

from axon.adapters.valkey import event_log_codec as codec
from axon.adapters.valkey import keys as keys_of
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.generation import GENERATION
from axon.adapters.valkey.log_indexes import ValkeyLogIndexes, call_name
from axon.adapters.valkey.replication import Replication
from axon.deadlines import Deadlines
from axon.directory.connections import CONNECTION_LIFE_S
from axon.directory.models import SILENCE_S
from axon.directory.relays import LATE_RELAY_S
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.journal import Piece, pieces
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.event_log.openings import NewResponse, Opening, Resumption
from axon.exceptions import (
    FencedError,
    GapError,
    LostEventsError,
    MissingResponseError,
    MovedError,
    UnavailableError,
)

_INCOMPLETE = "incomplete"
"""The generation of a log that is being restored: that of no server."""


class ValkeyEventLog(ValkeyLogIndexes):
    """See `axon.event_log.log.EventLog`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    deadlines : Deadlines
        Deadlines of the responses that are opened or restored through this object.
    retention_s : float
        Seconds that a log is kept after its end.
    resume_window_s : float
        Seconds after which what nobody waits for any more is abandoned.
    models : Collection[str]
        Those that exist even while no worker has announced them.
    worker_id : str
        The worker whose attempts claim through this object; empty for other processes. While it
        lives, what it has claimed does not count as waiting in the queue.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        deadlines: Deadlines,
        retention_s: float,
        resume_window_s: float,
        models: Collection[str] = (),
        worker_id: str = "",
    ) -> None:
        super().__init__(valkey=valkey, resume_window_s=resume_window_s)
        self._models = frozenset(models)
        self._worker_id = worker_id
        self._deadlines = deadlines
        self._retention_s = ceil(retention_s)
        self._keep_s = deadlines.keep_ended_s(retention_s)
        self._keep_open_s = deadlines.keep_open_s + self._retention_s
        timed = ("held", "generation", "now_ms", "progress")
        self._open = Script(valkey, "open", after=(*_MOVING, "repeated", "revoked"))
        claims = ("format", *timed, "publish", "attempts", "forks")
        self._claim = Script(valkey, "claim", after=claims)
        self._append = Script(valkey, "append", after=(*timed, "publish"))
        # What ends a response frees its job: it must not wait for memory.
        self._claim_to_end = Script(valkey, "claim", after=claims, when_full=True)
        self._append_end = Script(valkey, "append", after=(*timed, "publish"), when_full=True)
        restores = ("format", "held", "now_ms", "progress", "relay_of", "lanes", "forks")
        self._restore = Script(valkey, "restore", after=restores)
        self._resume = Script(valkey, "resume", after=_MOVING, when_full=True)
        self._repeat = Script(
            valkey, "repeat", after=(*_MOVING, "repeated", "revoked"), when_full=True
        )
        self._replication = Replication(valkey)
        self._checkpoint = Script(
            valkey, "checkpoint", after=("generation", "now_ms", "held"), when_full=True
        )

    @property
    @override
    def generation(self) -> str:
        return self._valkey.generation

    @override
    async def open(self, response: NewResponse) -> Opening:
        keys = [
            keys_of.response(response.response_id),
            keys_of.events(response.response_id),
            *keys_of.connection_keys(response.connection_id),
            keys_of.DEADLINES,
            keys_of.RELAYS,
            keys_of.MODELS,
            keys_of.MODELS_LAST_SEEN,
            keys_of.idempotency(response.idempotency),
            keys_of.ABANDONED,
        ]
        arguments = [
            response.response_id,
            response.tenant_id,
            response.connection_id,
            response.model,
            response.job,
            response.created,
            self._deadlines.first_look_ms,
            self._keep_open_s,
            CONNECTION_LIFE_S,
            LATE_RELAY_S * 1000,
            1 if response.model in self._models else 0 if self._models else "",
            int(SILENCE_S * 1000),
            response.fingerprint,
            response.key_id,
            GENERATION,
            self._deadlines.encode(),
            self._deadlines.hard_limit_ms,
            codec.optional_flag(response.cancel_on_disconnect),
            response.lane,
            self._attendance_window_ms,
            self._retention_s,
            self._keep_s,
            call_name(),
        ]
        return codec.opening(await self._open(keys=keys, args=arguments))

    @override
    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        keys = [keys_of.response(response_id), keys_of.events(response_id)]
        nonce, lost = call_name(), ("", "")
        call = [response_id, in_progress, nonce, message_id]
        arguments = [*call, GENERATION, *lost, self._worker_id]
        # Without an event, the claim is of one who ends the response, and writes only its fields.
        claim = self._claim if in_progress else self._claim_to_end
        outcome, *claimed = await claim(keys=keys, args=arguments)
        codec.check(outcome, response_id)
        await self._keep_claim(after=claimed[3])
        epoch, next_sequence, next_record, predecessor, unsure, attempts, died_alone = claimed[:7]
        return Claim(
            epoch=epoch,
            next_sequence=next_sequence,
            next_record=next_record,
            nonce=nonce,
            predecessor=predecessor.decode(),
            unsure=bool(unsure),
            attempts=attempts,
            died_alone=bool(died_alone),
            position=codec.place(claimed[7:10]),
            forks=claimed[10].decode(),
        )

    @override
    async def reclaim(self, response_id: str, claim: Claim, *, message_id: str = "") -> None:
        keys = [keys_of.response(response_id), keys_of.events(response_id)]
        call = [response_id, b"", claim.nonce, message_id, GENERATION]
        lost = [claim.epoch, claim.predecessor, self._worker_id]
        arguments = [*call, *lost, claim.next_sequence, claim.next_record, claim.forks]
        outcome, *_ = await self._claim_to_end(keys=keys, args=arguments)
        codec.check(outcome, response_id)
        await self._keep_claim(after=claim.predecessor)

    async def _keep_claim(self, *, after: str | bytes) -> None:
        """Wait until a failover cannot undo a claim that fences off another one.

        The attempt that was fenced off may live. After a failover without this claim it could
        append under the numbers of events that clients have from the newer attempt.
        """
        if after:
            await self._replication.caught_up()

    @override
    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
        journal: Sequence[JournalRecord] = (),
        nonce: str = "",
        predecessor: str = "",
        complete: bool = True,
    ) -> str:
        keys = [*keys_of.log(response_id), keys_of.DEADLINES, keys_of.ABANDONED]
        arguments: list[Any] = [
            response_id,
            epoch,
            status.value,
            self._retention_s,
            self._keep_s,
            self._keep_open_s,
            events[0].sequence_number if events else 0,
            len(events),
            journal[0].number if journal else 0,
            nonce,
            predecessor,
            GENERATION,
            int(complete),
            *codec.pairs(events),
            *codec.triples(journal),
        ]
        append = self._append_end if status.terminal else self._append
        outcome, *details = await append(keys=keys, args=arguments)
        if outcome == b"gap":
            _, next_sequence, next_record = details
            raise GapError(
                f"{response_id}: append out of order (gap)",
                next_sequence=next_sequence,
                next_record=next_record,
            )
        codec.check(outcome, response_id)
        return bytes(details[0]).decode()

    @override
    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        count = () if limit is None else ("COUNT", limit)
        entries = await self._valkey.call(
            "XRANGE", keys_of.events(response_id), f"{after + 2}-0", "+", *count
        )
        return [codec.event(entry_id, fields) for entry_id, fields in entries]

    @override
    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        entries = await self._valkey.call("XRANGE", keys_of.journal(response_id), "-", "+")
        return [codec.record(entry_id, fields) for entry_id, fields in entries]

    @override
    async def describe(self, response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
        before = self.generation
        key = keys_of.response(response_id)
        fields: dict[bytes, bytes]
        if with_job:
            fields = await self._valkey.call("HGETALL", key)
        else:
            values = await self._valkey.call("HMGET", key, *codec.META_FIELDS)
            pairs = zip(codec.META_FIELDS, values, strict=True)
            fields = {name: value for name, value in pairs if value is not None}
        # After a reconnection it is not known which server has answered: nothing is confirmed then.
        generation = self.generation if self.generation == before or not before else None
        return codec.meta(response_id, fields, generation) if fields else None

    @override
    async def restore(self, response: LostResponse) -> None:
        first, *rest = pieces(response.events, response.journal)
        generation = GENERATION if response.complete else _INCOMPLETE
        if not rest:
            await self._begin_again(response, first, status=response.status, generation=generation)
            return
        # Until the last piece is written, the log counts as one that may lack events of its client:
        # who claims it meanwhile asks the relay first.
        await self._begin_again(response, first, status=Status.IN_PROGRESS, generation=_INCOMPLETE)
        try:
            for piece in rest:
                last = piece is rest[-1]
                await self.append(
                    response.response_id,
                    epoch=response.epoch,
                    events=piece[0],
                    status=response.status if last else Status.IN_PROGRESS,
                    journal=piece[1],
                    nonce=response.nonce,
                    complete=last and response.complete,
                )
        except (FencedError, MissingResponseError):
            # It was there already, another attempt has claimed it, or it is lost again. The next
            # append of the caller shows which, as after any restore.
            return

    async def _begin_again(
        self, response: LostResponse, piece: Piece, *, status: Status, generation: object
    ) -> None:
        events, journal = piece
        keys = [
            *keys_of.log(response.response_id),
            *keys_of.connection_keys(response.connection_id),
            keys_of.DEADLINES,
            keys_of.RELAYS,
            keys_of.ABANDONED,
        ]
        arguments = [
            response.response_id,
            response.tenant_id,
            response.connection_id,
            response.job,
            max(response.age_ms, 0),
            self._keep_open_s,
            CONNECTION_LIFE_S,
            LATE_RELAY_S * 1000,
            response.epoch,
            status.value,
            self._resume_window_ms if response.connection_id else self._attendance_window_ms,
            response.key_id,
            response.nonce,
            generation,
            response.model,
            self._deadlines.encode(),
            self._deadlines.hard_limit_ms,
            self._deadlines.first_look_ms,
            *codec.places(response.position),
            response.forks,
            len(events),
            *codec.pairs(events),
            *codec.triples(journal),
        ]
        if await self._restore(keys=keys, args=arguments) == b"no_relay":
            raise UnavailableError(f"{response.response_id}: no relay to deliver it")

    @override
    async def resume(
        self, response_id: str, *, tenant_id: str, connection_id: str, first: int, lane: str = ""
    ) -> Resumption:
        owners = keys_of.connection_keys(connection_id)
        keys = [*keys_of.log(response_id), *owners, keys_of.RELAYS, keys_of.ABANDONED]
        place = [connection_id, first, lane]
        arguments = [response_id, tenant_id, *place, *self._move_arguments()]
        return Resumption((await self._resume(keys=keys, args=arguments)).decode())

    @override
    async def checkpoint(
        self,
        response_id: str,
        checkpoint: DeliveryCheckpoint,
        *,
        relay_id: str,
        connection_id: str,
        order: int = 0,
    ) -> None:
        keys = [keys_of.response(response_id), keys_of.ABANDONED]
        arguments = [
            response_id,
            relay_id,
            connection_id,
            checkpoint.next_sequence,
            checkpoint.tail.value,
            next(_CALLS),
            _PROCESS,
            GENERATION,
            self._retention_s,
            self._keep_s,
            order,
        ]
        outcome = await self._checkpoint(keys=keys, args=arguments)
        if outcome == b"moved":
            raise MovedError(f"{response_id} is delivered elsewhere")
        if outcome == b"conflict":
            raise LostEventsError(f"{response_id}: the client has events that the log has lost")
        codec.check(outcome, response_id)

    @override
    async def repeated(
        self,
        idempotency: str,
        *,
        fingerprint: str,
        connection_id: str,
        lane: str,
        key_id: str = "",
    ) -> Opening | None:
        keys = [
            keys_of.idempotency(idempotency),
            *keys_of.connection_keys(connection_id),
            keys_of.RELAYS,
            keys_of.ABANDONED,
        ]
        arguments = [fingerprint, connection_id, lane, *self._move_arguments(), key_id]
        outcome = await self._repeat(keys=keys, args=arguments)
        return codec.opening(outcome) if outcome else None

    def _move_arguments(self) -> list[object]:
        """Return the last arguments of a script that moves a delivery."""
        times = (CONNECTION_LIFE_S, LATE_RELAY_S * 1000, self._retention_s, self._keep_s)
        return [*times, call_name(), GENERATION]


# Order this process's checkpoints: by a clock that goes back, newer ones would be ignored.
_PROCESS = secrets.token_hex(8)
_CALLS = count(1)
_MOVING = ("format", "generation", "held", "now_ms", "relay_of", "lanes", "publish", "move")
"""Script parts that have a response delivered to a connection."""
