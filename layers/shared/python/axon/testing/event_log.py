"""The event log in memory, with all that Valkey keeps for the delivery of a response."""

from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from axon.directory.models import SILENCE_S
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState, is_behind_fork
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.event_log.openings import NewResponse, Opening, OpenResult, Resumption
from axon.event_log.publication import Kind, Publication
from axon.exceptions import (
    FencedError,
    GapError,
    LostClaimError,
    LostEventsError,
    MissingResponseError,
    MovedError,
    UnavailableError,
)
from axon.testing import log_rules as rules
from axon.testing.attempts import count_attempt
from axon.testing.log_state import FakeLogState
from axon.testing.relay_directory import STORED


class FakeValkey(FakeLogState):
    """All that Valkey keeps for the way of a response, with a settable clock.

    `published` records (relay id, payload) of every publish. `models` exist even while no worker
    has announced them in the `directory`. A `disconnected` relay, a dead one for example, gets no
    grants. `dead_workers` are incarnations that do not beat any more, `registered_workers` are ids.
    `worker_id` is that of the worker that claims. `revoked_keys` open nothing.
    """

    @override
    async def open(self, response: NewResponse) -> Opening:
        silent = self.directory.silence(response.model) > SILENCE_S
        opened = Opening(OpenResult.UNATTENDED if silent else OpenResult.OPENED)
        if self._find(response.response_id):
            return opened
        if response.connection_id in self._gone:
            return Opening(OpenResult.GONE)
        if response.key_id in self.revoked_keys:
            return Opening(OpenResult.REVOKED)
        if response.fingerprint:
            repeated = self._answer_repeated(
                response.idempotency, response.fingerprint, response.connection_id, response.lane
            )
            if repeated:
                return repeated
        announced = response.model in await self.directory.list()
        if not announced and response.model not in self._known:
            starting = self.directory.empty and not self._known
            return Opening(OpenResult.NO_MODEL if starting else OpenResult.UNKNOWN_MODEL)
        relay_id = self._relay_for(response.connection_id)
        if relay_id is None:
            return Opening(OpenResult.NO_RELAY)
        meta = ResponseMeta(
            response_id=response.response_id,
            tenant_id=response.tenant_id,
            connection_id=response.connection_id,
            relay_id=relay_id,
            status=Status.QUEUED,
            epoch=0,
            next_sequence=0,
            job=response.job,
            key_id=response.key_id,
        )
        log = self._new_log(self._join_lane(meta, response.lane), model=response.model)
        log.checkpoint_generation = self.generation
        log.cancel_on_disconnect = response.cancel_on_disconnect
        self._logs[response.response_id] = log
        if response.fingerprint:
            self._repeatable[response.idempotency] = Opening(
                OpenResult.REPEATED, response.response_id, response.fingerprint
            )
        if log.meta.followed:
            log.abandoned_until = self._abandoned_at(log.meta)
        else:
            self._undelivered.setdefault(relay_id, set()).add(response.response_id)
        self._write(response.response_id, [LoggedEvent(0, response.created)], Status.QUEUED)
        return opened

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
        if connection_id in self._gone:
            return Opening(OpenResult.GONE)
        if key_id in self.revoked_keys:
            return Opening(OpenResult.REVOKED)
        return self._answer_repeated(idempotency, fingerprint, connection_id, lane)

    def _answer_repeated(
        self, idempotency: str, fingerprint: str, connection_id: str, lane: str
    ) -> Opening | None:
        first = self._repeatable.get(idempotency)
        if first is None or not self._events(first.first_id):
            return None
        meta = self._logs[first.first_id].meta
        if not connection_id or first.fingerprint != fingerprint:
            return first
        coming = not meta.status.terminal or meta.checkpoint.certain
        if (meta.connection_id, meta.position.lane) == (connection_id, lane) and coming:
            return first
        moved = self._move(first.first_id, connection_id, 0, lane)
        return first if moved is Resumption.RESUMED else Opening(OpenResult(moved.value))

    @override
    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        log = self._running(response_id)
        self._claims += 1
        log.claimed_after, log.claim = log.claim, f"claim-{self._claims}"
        appended = bool(in_progress) and log.meta.next_sequence == 1
        if message_id:
            log.attempts = count_attempt(
                log,
                appended=appended,
                message_id=message_id,
                dead=self.dead_workers,
                registered=self.registered_workers,
            )
        log.worker_id = self.worker_id
        log.meta = replace(log.meta, epoch=log.meta.epoch + 1, message_id=message_id)
        log.progressed = self._clock()
        fork = f" {log.meta.next_sequence}:{self.generation}"
        unsure = self._unsure(log)
        if self._incomplete(log) and not log.meta.forks.endswith(fork):
            rules.keep_forks(log, log.meta.forks + fork)
        if appended:
            generation = log.generation
            self._write(response_id, [LoggedEvent(1, in_progress)], Status.IN_PROGRESS)
            log.generation = generation
        return Claim(
            log.meta.epoch,
            log.meta.next_sequence,
            len(log.journal),
            attempts=log.attempts.attempts if message_id else 1,
            died_alone=bool(message_id) and log.attempts.alone == "failed",
            nonce=log.claim,
            predecessor=log.claimed_after,
            unsure=unsure,
            position=log.meta.position,
            forks=log.meta.forks,
        )

    @override
    async def reclaim(self, response_id: str, claim: Claim, *, message_id: str = "") -> None:
        log = self._running(response_id)
        if log.claim == claim.nonce:
            return
        if log.claim != claim.predecessor or log.meta.epoch >= claim.epoch:
            raise FencedError(response_id)
        if rules.has_grown(log, claim):
            raise FencedError(response_id)
        log.claimed_after, log.claim = log.claim, claim.nonce
        log.meta = replace(log.meta, epoch=claim.epoch, message_id=message_id)
        rules.keep_forks(log, claim.forks)

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
        log = self._find(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if log.meta.epoch != epoch or (nonce and log.claim and log.claim != nonce):
            if nonce and log.claim == predecessor and log.meta.epoch < epoch:
                raise LostClaimError(response_id)
            raise FencedError(response_id)
        if rules.has(log, events, journal):
            rules.compare(log, events, journal)
            return log.meta.connection_id
        self._running(response_id)
        if rules.has_gap(log, events, journal) and not rules.may_leave_gap(
            self._checkpoint_of(log), log, events, status
        ):
            raise GapError(
                f"{response_id}: append out of order (gap)",
                next_sequence=log.meta.next_sequence,
                next_record=len(log.journal),
            )
        log.journal.extend(journal)
        self._progress(log)
        if events:
            generation = log.generation
            self._write(response_id, events, status)
            if not complete:
                log.generation = generation
        return log.meta.connection_id

    @override
    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        return [e for e in self._events(response_id) if e.sequence_number > after][:limit]

    @override
    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        log = self._find(response_id)
        return list(log.journal) if log and self._clock() < log.events_expire else []

    @override
    async def describe(self, response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
        log = self._find(response_id)
        if log is None:
            return None
        return replace(
            log.meta,
            job=log.meta.job if with_job else b"",
            checkpoint=self._checkpoint_of(log),
            nonce=log.claim,
            incomplete=self._incomplete(log),
        )

    @override
    async def restore(self, response: LostResponse) -> None:
        if self._find(response.response_id):
            return
        relay_id = self._relay_for(response.connection_id)
        if relay_id is None:
            raise UnavailableError("no relay")
        meta = ResponseMeta(
            response_id=response.response_id,
            tenant_id=response.tenant_id,
            connection_id=response.connection_id,
            relay_id=relay_id,
            status=response.status,
            epoch=response.epoch,
            next_sequence=len(response.events),
            job=b"" if response.status.terminal else response.job,
            checkpoint=DeliveryCheckpoint(0, TailState.IN_DOUBT),
            key_id=response.key_id,
        )
        meta = self._rejoin_lane(meta, response.position)
        log = self._new_log(meta, model=response.model, age_s=response.age_ms / 1000)
        log.events.extend(response.events)
        log.journal.extend(response.journal)
        log.claim = response.nonce
        rules.keep_forks(log, response.forks)
        if response.forks:
            log.checkpoint_generation = "none"
        if not response.complete:
            log.generation = "incomplete"
        log.abandoned_until = self._abandoned_at(log.meta)
        self._logs[response.response_id] = log
        if not log.meta.followed:
            self._undelivered.setdefault(relay_id, set()).add(response.response_id)

    @override
    async def resume(
        self, response_id: str, *, tenant_id: str, connection_id: str, first: int, lane: str = ""
    ) -> Resumption:
        log = self._find(response_id)
        if log is None or log.meta.tenant_id != tenant_id or not self._events(response_id):
            return Resumption.MISSING
        if rules.ends_in_hole(log, first):
            return Resumption.HOLE
        return self._move(response_id, connection_id, first, lane)

    def _move(self, response_id: str, connection_id: str, first: int, lane: str) -> Resumption:
        log = self._logs[response_id]
        if log.followed_fork is not None and first > log.followed_fork:
            return Resumption.FORKED
        last = log.meta.next_sequence - log.meta.status.terminal
        if first > last and (log.meta.status.terminal or not self._incomplete(log)):
            return Resumption.AHEAD
        if connection_id in self._gone:
            return Resumption.GONE
        relay_id = self._relay_for(connection_id)
        if relay_id is None:
            return Resumption.NO_RELAY
        former = log.meta
        delivering = response_id in self._undelivered.setdefault(former.relay_id, set())
        self._undelivered[former.relay_id].discard(response_id)
        self._undelivered.setdefault(relay_id, set()).add(response_id)
        log.abandoned_until = float("inf")
        if log.meta.status.terminal:
            self._keep(log)
        log.meta = replace(former, connection_id=connection_id, relay_id=relay_id)
        lane = lane or former.position.lane
        there = (connection_id, lane)
        if (former.connection_id, former.position.lane) != there or not delivering:
            self._leave_lane(former)
            log.meta = self._join_lane(log.meta, lane)
        tail = TailState.CLOSED if log.meta.position.before else TailState.NONE
        log.meta = replace(log.meta, checkpoint=DeliveryCheckpoint(first, tail))
        log.checkpoint_generation, log.moved = self.generation, True
        if former.relay_id not in ("", relay_id):
            moved = Publication(response_id, former.connection_id, 0, Kind.MOVED, to=connection_id)
            self.published.append((former.relay_id, moved.encode()))
        position = log.meta.position
        resumed = Publication(response_id, connection_id, first, Kind.RESUMED, position=position)
        self.published.append((relay_id, resumed.encode()))
        return Resumption.RESUMED

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
        log = self._find(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if (log.meta.relay_id, log.meta.connection_id) != (relay_id, connection_id):
            raise MovedError(response_id)
        if order and log.moved and log.meta.position.order not in (0, order):
            raise MovedError(response_id)
        if checkpoint.next_sequence < log.meta.checkpoint.next_sequence:
            raise MovedError(response_id)
        confirmed = log.checkpoint_generation in ("", self.generation)
        if not confirmed and is_behind_fork(log.meta.forks, checkpoint.next_sequence):
            raise LostEventsError(response_id)
        granted = replace(checkpoint, tail=TailState.GRANTED)
        if checkpoint.tail is not TailState.NONE or log.meta.checkpoint != granted or not confirmed:
            log.meta = replace(log.meta, checkpoint=checkpoint)
            if checkpoint.tail is not TailState.IN_DOUBT:
                log.checkpoint_generation = self.generation
        if connection_id and connection_id not in self._gone:
            log.abandoned_until = float("inf")
        if checkpoint.tail is TailState.CLOSED and log.meta.status.terminal and log.meta.tenant_id:
            self._keep(log)

    def lose(self) -> None:
        """Forget everything but what is announced again and again, as after FLUSHALL."""
        for name in set(STORED) - {"_relays"}:
            getattr(self, name).clear()
