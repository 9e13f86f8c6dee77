"""The event log of one answer in memory, and what takes the place of the other stores."""

# Its log has one response and one attempt, so that many arguments have nothing to tell apart.
# ruff: noqa: ARG002

import asyncio
from collections.abc import AsyncGenerator, Sequence

from axon.conversations import Turn
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.history import HistoryRecord
from axon.jobs import Job

_EPOCH = 1
"""Of the only attempt."""


class AnswerLog:
    """Takes what the only attempt appends, and gives it to the only reader (`follow`).

    Appending never waits: a client that reads slowly keeps no stage busy.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._events = [job.transcript().created()]
        self._news = asyncio.Event()
        self._closed = False
        self.status = Status.QUEUED

    @property
    def last(self) -> LoggedEvent:
        """The newest event."""
        return self._events[-1]

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Begin the attempt."""
        self._add([LoggedEvent(len(self._events), in_progress)], Status.IN_PROGRESS)
        return Claim(_EPOCH, len(self._events))

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
        journal: Sequence[JournalRecord] = (),
    ) -> str:
        """Add events; a terminal `status` ends the log. No attempt follows to read a journal."""
        if events:
            self._add(events, status)
        return ""

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return the events after a number."""
        return self._events[after + 1 :][:limit]

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return nothing: no attempt came before."""
        return []

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return nothing: nobody else can have touched it."""
        return None

    async def restore(self, response: LostResponse) -> None:
        """Do nothing: it cannot be lost."""

    async def end(
        self, response_id: str, status: Status, *, error: dict[str, str] | None = None
    ) -> None:
        """End it from outside the attempt, unless it has ended."""
        if self.status.terminal:
            return
        transcript = self._job.transcript()
        transcript.replay(self._events)
        self._add([transcript.end(status, error=error)], status)

    def close(self) -> None:
        """Have `follow` end, though there may be no terminal event."""
        self._closed = True
        self._news.set()

    async def follow(self) -> AsyncGenerator[LoggedEvent, None]:
        """Yield the events as they come, up to the terminal one."""
        told = 0
        while True:
            while told < len(self._events):
                yield self._events[told]
                told += 1
            if self.status.terminal or self._closed:
                return
            self._news.clear()
            await self._news.wait()

    def _add(self, events: Sequence[LoggedEvent], status: Status) -> None:
        self._events += events
        self.status = status
        self._news.set()


class NoStore:
    """Cache, database and history of an endpoint that keeps nothing."""

    async def chain(self, response_id: str) -> list[Turn]:
        """Know no turn."""
        return []

    async def put(self, turns: Sequence[Turn]) -> None:
        """Keep none."""

    async def evict(self, response_id: str) -> None:
        """Have none to forget."""

    async def send(self, record: HistoryRecord) -> None:
        """Write nothing."""
