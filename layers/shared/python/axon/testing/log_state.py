"""The state of the event log in memory: its logs, and what every step of theirs does."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from axon.deadlines import Deadlines
from axon.event_log.attendance import attendance_window_s
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.lanes import NO_LANE
from axon.event_log.log import LoggedEvent, ResponseMeta, Status
from axon.event_log.openings import Opening
from axon.event_log.publication import Kind, Publication
from axon.exceptions import FencedError, MissingResponseError
from axon.testing.attempts import FakeAttemptNotes
from axon.testing.attendance import FakeAttendance
from axon.testing.due_index import FakeDueIndex
from axon.testing.follower import FakeResponseChannels
from axon.testing.log_indexes import FakeLogIndexes
from axon.testing.models import FakeModelDirectory
from axon.testing.relay_directory import FakeLog


class FakeLogState(FakeLogIndexes):
    """The part of `axon.testing.event_log.FakeValkey` that its calls share."""

    def __init__(
        self,
        *,
        deadlines: Deadlines | None = None,
        retention_s: float = 300,
        resume_window_s: float = 60,
        models: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock=clock, resume_window_s=resume_window_s)
        self.published: list[tuple[str, bytes]] = []
        self.disconnected: set[str] = set()
        self.dead_workers: set[str] = set()
        self.revoked_keys: set[str] = set()
        self.registered_workers: set[str] = set()
        self.worker_id = ""
        self.attempt_notes = FakeAttemptNotes(self._find)
        self.channels = FakeResponseChannels()
        self._claims = 0
        self._deadlines = deadlines or Deadlines()
        self._retention_s = retention_s
        self._known = frozenset(models)
        self.directory = FakeModelDirectory(clock=clock)
        self._repeatable: dict[str, Opening] = {}
        self.attendance = FakeAttendance(
            self._find, keep=self._keep, resume_window_s=resume_window_s, clock=clock
        )
        self.due = FakeDueIndex(
            logs=self._logs, models=self.directory, deadlines=self._deadlines, clock=clock
        )

    def _running(self, response_id: str) -> FakeLog:
        log = self._find(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if log.meta.status.terminal:
            raise FencedError(response_id)
        return log

    def _events(self, response_id: str) -> Sequence[LoggedEvent]:
        log = self._find(response_id)
        return log.events if log and self._clock() < log.events_expire else ()

    def _abandoned_at(self, meta: ResponseMeta) -> float:
        """Return when a response is cancelled that nobody reads or resumes from now on."""
        window_s = self._resume_window_s
        return self._clock() + (attendance_window_s(window_s) if meta.followed else window_s)

    def _new_log(self, meta: ResponseMeta, *, model: str, age_s: float = 0.0) -> FakeLog:
        now = self._clock()
        until = now + self._deadlines.keep_open_s + self._retention_s
        return FakeLog(
            meta,
            model=model,
            opened=now - age_s,
            look_at=now - age_s + self._deadlines.first_look_ms / 1000,
            expires=until,
            events_expire=until,
            progressed=now,
            generation=self.generation,
        )

    def _progress(self, log: FakeLog) -> None:
        """Move the deadline and the expiry of a running log forward."""
        now = log.progressed = self._clock()
        limit_s = self._deadlines.hard_limit_s or float("inf")
        log.look_at = min(now + self._deadlines.no_progress_s, log.opened + limit_s)
        until = now + self._deadlines.keep_open_s + self._retention_s
        log.expires, log.events_expire = max(log.expires, until), max(log.events_expire, until)

    def _incomplete(self, log: FakeLog) -> bool:
        return log.generation != self.generation

    def _unsure(self, log: FakeLog) -> bool:
        """Return whether the client may have events that the log lacks."""
        checkpoint = self._checkpoint_of(log)
        sure = checkpoint.certain and checkpoint.next_sequence <= log.meta.next_sequence
        return self._incomplete(log) and not sure

    def _keep(self, log: FakeLog) -> None:
        """Set the expiry of a log that has ended."""
        now = self._clock()
        log.expires = now + max(self._retention_s, self._deadlines.queue_s)
        log.events_expire = now + self._retention_s

    def _write(self, response_id: str, events: Sequence[LoggedEvent], status: Status) -> None:
        log = self._logs[response_id]
        log.events.extend(events)
        log.generation = self.generation
        first = events[0].sequence_number
        log.meta = replace(log.meta, status=status, next_sequence=first + len(events))
        if status.terminal:
            log.meta = replace(log.meta, job=b"")
            self._keep(log)
        arrived = self._checkpoint_of(log) == DeliveryCheckpoint(first)
        heard = log.meta.relay_id and log.meta.relay_id not in self.disconnected
        granted = bool(arrived and heard)
        if granted:
            log.meta = replace(log.meta, checkpoint=DeliveryCheckpoint(first, TailState.GRANTED))
        kind = Kind.LAST_EVENTS if status.terminal else Kind.EVENTS
        data = [event.data for event in events]
        publication = Publication(
            response_id,
            log.meta.connection_id,
            first,
            kind,
            data,
            granted=granted,
            position=NO_LANE if first or log.meta.followed else log.meta.position,
        )
        if not log.meta.followed:
            self.published.append((log.meta.relay_id, publication.encode()))
        self.channels.publish(publication, generation=self.generation)
