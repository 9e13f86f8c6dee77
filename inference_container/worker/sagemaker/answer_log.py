"""The event log of one answer in memory, and an empty stand-in for the other stores."""

# A log has one response and one attempt; most arguments of the protocol distinguish several.
# ruff: noqa: ARG002

import asyncio
from collections.abc import AsyncGenerator, Sequence

from typing_extensions import override

from axon.conversations import Turn, TurnHead
from axon.event_log.fence import Fence, Fences
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.history import HistoryRecord
from axon.jobs import Job

_EPOCH = 1  # of the only attempt


class AnswerLog:
    """The event log of one response, with one attempt and one follower.

    Appends never wait: a client that reads slowly keeps no slot of a stage.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._events = [job.transcript().created()]
        self._appended = asyncio.Event()
        self._closed = False
        self.status = Status.QUEUED

    @property
    def last(self) -> LoggedEvent:
        """The newest event."""
        return self._events[-1]

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Begin the only attempt."""
        self._add([LoggedEvent(len(self._events), in_progress)], Status.IN_PROGRESS)
        return Claim(_EPOCH, len(self._events))

    async def reclaim(self, response_id: str, claim: Claim, *, message_id: str = "") -> None:
        """Do nothing: no claim can be lost."""

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
        """Append events; a terminal `status` closes the log. No later attempt reads a journal."""
        if events:
            self._add(events, status)
        return ""

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return the events after a sequence number."""
        return self._events[after + 1 :][:limit]

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return nothing: no attempt came before."""
        return []

    async def describe(self, response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
        """Return None: no other attempt or terminator can have claimed the response."""
        return None

    async def restore(self, response: LostResponse) -> None:
        """Do nothing: the log cannot be lost."""

    async def end(
        self, response_id: str, status: Status, *, error: dict[str, str] | None = None
    ) -> None:
        """End the response from outside the attempt, unless it has ended."""
        if self.status.terminal:
            return
        transcript = self._job.transcript()
        transcript.replay(self._events)
        self._add([transcript.end(status, error=error)], status)

    def close(self) -> None:
        """End `follow`, even if no terminal event was appended."""
        self._closed = True
        self._appended.set()

    async def follow(self) -> AsyncGenerator[LoggedEvent, None]:
        """Yield events as they are appended, up to the terminal one."""
        position = 0
        while True:
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self.status.terminal or self._closed:
                return
            self._appended.clear()
            await self._appended.wait()

    def _add(self, events: Sequence[LoggedEvent], status: Status) -> None:
        self._events += events
        self.status = status
        self._appended.set()


class NoStore:
    """Cache, database and history of an endpoint that stores nothing."""

    async def chain(self, response_id: str) -> list[Turn]:
        """Return no turn."""
        return []

    async def heads(self, response_id: str) -> list[TurnHead]:
        """Return no head of a turn."""
        return []

    async def put(self, turns: Sequence[Turn]) -> None:
        """Store nothing."""

    async def evict(self, response_id: str) -> None:
        """Do nothing: no turn is stored."""

    async def send(self, record: HistoryRecord) -> None:
        """Store nothing."""


class NoFences(Fences):
    """Fences of a log with one attempt: nobody else claims its response."""

    @override
    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        return [None] * len(response_ids)
