"""Writes a response's log as the submitter and a worker do, over any event log."""

import time
from collections.abc import Sequence
from typing import Self

from axon.event_log.lanes import LanePosition
from axon.event_log.log import EventLog, LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse, OpenResult, Resumption
from axon.ids import new_id
from axon.jobs import Job, new_job
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse
from axon.protocol.transcript import Transcript
from tests.support.principals import a_principal

MODEL = "echo"
TENANT = "tenant"


class Author:
    """`written` is every event so far: what the client must receive."""

    def __init__(self, log: EventLog, job: Job, transcript: Transcript) -> None:
        self.written: list[bytes] = []
        self.response_id = job.response_id
        self.connection_id = job.connection_id
        self._log = log
        self._transcript = transcript
        self._epoch = 0
        self._job = job

    @classmethod
    async def open(cls, log: EventLog, connection_id: str, *, lane: str = "") -> Self:
        response_id = new_id("resp")
        stream_id = LanePosition(lane).stream_id
        request = CreateResponse(model=MODEL, input="hello", stream_id=stream_id)
        job = new_job(
            request,
            response=response_object(request, response_id=response_id, created_at=1),
            principal=a_principal(TENANT),
            connection_id=connection_id,
            conversation_id=new_id("conv"),
            created_ms=time.time_ns() // 1_000_000,
        )
        author = cls(log, job, job.transcript())
        created = author._transcript.created()
        opening = await log.open(
            NewResponse(
                response_id=response_id,
                tenant_id=TENANT,
                connection_id=connection_id,
                model=MODEL,
                job=job.encode(),
                created=created.data,
                key_id=a_principal(TENANT).key_id,
                lane=lane,
            )
        )
        assert opening.outcome in (OpenResult.OPENED, OpenResult.UNATTENDED)
        author.written.append(created.data)
        return author

    async def claim(self) -> None:
        in_progress = self._transcript.in_progress()
        claim = await self._log.claim(self.response_id, in_progress=in_progress.data)
        self._epoch = claim.epoch
        self.written.append(in_progress.data)

    async def say(self, *words: str) -> None:
        """One append a word."""
        if not self._epoch:
            await self.claim()
        for word in words:
            await self._append(self._transcript.delta(word, [7]))

    async def complete(self) -> None:
        if not self._epoch:
            await self.claim()
        events = self._transcript.close_message()
        await self._append([*events, self._transcript.end(Status.COMPLETED)], Status.COMPLETED)

    async def resume(self, connection_id: str, *, first: int, lane: str = "") -> None:
        """As another client, or the same one on another connection, does."""
        resumed = await self._log.resume(
            self.response_id, tenant_id=TENANT, connection_id=connection_id, first=first, lane=lane
        )
        assert resumed is Resumption.RESUMED

    async def restore(self) -> None:
        """As a worker does whose append found no log."""
        await self._restore(self.written, Status.IN_PROGRESS)

    async def restore_as_failed(self) -> None:
        """As a worker does that holds nothing of it."""
        await self._restore(self.written[:2], Status.FAILED)

    async def _restore(self, lines: Sequence[bytes], status: Status) -> None:
        events = [LoggedEvent(number, data) for number, data in enumerate(lines)]
        await self._log.restore(
            LostResponse(
                response_id=self.response_id,
                tenant_id=TENANT,
                connection_id=self.connection_id,
                job=self._job.encode(),
                age_ms=0,
                epoch=self._epoch,
                events=events,
                status=status,
            )
        )

    async def _append(self, events: list[LoggedEvent], status: Status = Status.IN_PROGRESS) -> None:
        await self._log.append(self.response_id, epoch=self._epoch, events=events, status=status)
        self.written += [event.data for event in events]
