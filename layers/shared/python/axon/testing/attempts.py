"""The budget of attempts and the permit for quarantine, in memory."""

from collections.abc import Callable, Collection
from dataclasses import replace

from typing_extensions import override

from axon.directory.quarantine import PERMIT_LEASE_S, QuarantinePermits
from axon.event_log.attempts import AttemptNote, AttemptNotes
from axon.exceptions import FencedError, MissingResponseError
from axon.testing.relay_directory import FakeAttempts, FakeLog


class FakeAttemptNotes(AttemptNotes):
    """See `axon.event_log.attempts.AttemptNotes`; `noted` records all notes.

    Parameters
    ----------
    find : Callable[[str], FakeLog | None]
        Finds the log of a response.
    """

    def __init__(self, find: Callable[[str], FakeLog | None]) -> None:
        self.fail_with: Exception | None = None
        self.noted: list[AttemptNote] = []
        self._find = find

    @override
    async def note(
        self, response_id: str, note: AttemptNote, *, epoch: int, incarnation: str
    ) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        log = self._find(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if log.meta.epoch != epoch:
            raise FencedError(response_id)
        self.noted.append(note)
        match note:
            case AttemptNote.RELEASED:
                log.attempts = replace(log.attempts, released=epoch, alone="")
            case AttemptNote.ALONE:
                log.attempts = replace(log.attempts, alone=incarnation)
            case AttemptNote.IN_COMPANY:
                log.attempts = replace(log.attempts, released=-1, alone="")
            case AttemptNote.FAILED:
                log.attempts = replace(log.attempts, alone="failed")


class FakeQuarantinePermits(QuarantinePermits):
    """See `axon.directory.quarantine.QuarantinePermits`; with a settable clock."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._holder = ""
        self._until = 0.0

    @override
    async def acquire(self, holder: str) -> bool:
        if self._clock() < self._until and self._holder != holder:
            return False
        self._holder, self._until = holder, self._clock() + PERMIT_LEASE_S
        return True

    @override
    async def release(self, holder: str, *, pause_s: float) -> None:
        if self._holder == holder:
            self._holder, self._until = f"after {holder}", self._clock() + pause_s


def count_attempt(
    log: FakeLog,
    *,
    appended: int,
    message_id: str,
    dead: Collection[str],
    registered: Collection[str],
) -> FakeAttempts:
    """Return the budget after a claim by an attempt.

    Parameters
    ----------
    log : FakeLog
        The log before the claim.
    appended : int
        Events that the claim itself appends.
    message_id : str
        Id of the message that brings the attempt.
    dead : Collection[str]
        Incarnations of workers that are known to be dead.
    registered : Collection[str]
        Ids of the workers that are registered.
    """
    before, logged = log.attempts, log.meta.next_sequence + len(log.journal)
    attempts, alone = before.attempts, before.alone
    if logged > before.logged:
        attempts, alone = 0, ""
    elif before.released == log.meta.epoch or (
        log.meta.message_id != message_id and log.worker_id in registered
    ):
        attempts = max(attempts - 1, 0)
    known_dead = alone in dead and log.meta.message_id == message_id
    return FakeAttempts(
        attempts=attempts + 1,
        logged=logged + appended,
        released=before.released,
        alone="failed" if alone == "failed" or known_dead else "",
    )
