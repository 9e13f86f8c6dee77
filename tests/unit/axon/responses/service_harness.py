"""A response service over fakes, with a worker's hands."""

from collections.abc import Collection
from typing import Any

from axon.aliases import ModelAliases
from axon.conversations import Conversations, Turn
from axon.deadlines import Deadlines
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import RequestError
from axon.inputs import LargeInputs
from axon.jobs import Job
from axon.named_conversations.items import ConversationItems
from axon.named_conversations.service import NamedConversations
from axon.protocol.objects import Usage
from axon.protocol.requests import CancelResponse, ResumeResponse
from axon.responses.deletion import ResponseDeletion
from axon.responses.finisher import FinishedResponse, ResponseFinisher
from axon.responses.retrieval import ResponseRetrieval
from axon.responses.service import ResponseService
from axon.responses.sweeper import ResponseSweeper
from axon.responses.terminator import ResponseTerminator
from axon.testing.conversations import FakeConversationStore
from axon.testing.event_log import FakeValkey
from axon.testing.payloads import FakePayloadStore
from axon.testing.scaling import FakeWorkerScaler
from axon.testing.stores import (
    FakeHistory,
    FakeJobQueue,
    FakePendingHistory,
    FakeResponseRows,
    FakeResponseTraces,
    FakeTurns,
)
from tests.support.principals import a_principal
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT, a_request

DEADLINE_S = 600.0
DEADLINES = Deadlines(no_worker_s=DEADLINE_S, queue_s=DEADLINE_S)
RESUME_WINDOW_S = 60.0
SLEEPING = "sleeping-model"
"""Known though no worker has announced it."""


class ResponseHarness:
    """One relay, one model, one connection; `payloads` where the deployment has a store."""

    def __init__(
        self, *, models: Collection[str] = (SLEEPING,), payloads: FakePayloadStore | None = None
    ) -> None:
        self.now = 1000.0
        self.inputs = LargeInputs(store=payloads)
        self.valkey = FakeValkey(
            deadlines=DEADLINES,
            resume_window_s=RESUME_WINDOW_S,
            models=models,
            clock=lambda: self.now,
        )
        self.turns = FakeTurns()
        self.database = FakeTurns()
        self.pending = FakePendingHistory()
        self.conversations = Conversations(
            cache=self.turns, database=self.database, pending=self.pending, inputs=self.inputs
        )
        self.jobs = FakeJobQueue()
        self.history = FakeHistory()
        self.scaler = FakeWorkerScaler()
        self.finisher = ResponseFinisher(history=self.history, turns=self.turns)
        self.terminator = ResponseTerminator(event_log=self.valkey, finisher=self.finisher)
        self.deleted = FakeResponseRows(self.history)
        self.traces = FakeResponseTraces(self.turns)
        self.deletion = ResponseDeletion(
            event_log=self.valkey,
            terminator=self.terminator,
            pending=self.pending,
            rows=self.deleted,
            traces=self.traces,
            inputs=self.inputs,
        )
        self.retrieval = ResponseRetrieval(
            event_log=self.valkey,
            rows=self.deleted,
            conversations=self.conversations,
            pending=self.pending,
            inputs=self.inputs,
        )
        self.store = FakeConversationStore(turns=self.database, rows=self.deleted)
        self.named = NamedConversations(
            store=self.store, conversations=self.conversations, responses=self.retrieval
        )
        self.items = ConversationItems(named=self.named, store=self.store, cache=self.turns)
        self.sweeper = ResponseSweeper(index=self.valkey.due, terminator=self.terminator)
        self.alias({})

    def alias(self, aliases: ModelAliases, *, ignored_tools: Collection[str] = ()) -> None:
        """Deploy the service with these settings; all that it keeps elsewhere stays."""
        self.service = ResponseService(
            event_log=self.valkey,
            conversations=self.conversations,
            jobs=self.jobs,
            finisher=self.finisher,
            terminator=self.terminator,
            scaler=self.scaler,
            deletion=self.deletion,
            rows=self.deleted,
            named=self.named,
            aliases=aliases,
            inputs=self.inputs,
            ignored_tools=ignored_tools,
        )

    async def begin(self) -> None:
        await self.valkey.directory.register((MODEL,), retention_s=10_000)
        await self.valkey.heartbeat("relay", lease_s=10_000)
        await self.valkey.register(CONNECTION, principal=a_principal(TENANT))

    async def submit(
        self, *, tenant_id: str = TENANT, connection_id: str = CONNECTION, **fields: Any
    ) -> str:
        response_id = await self.service.submit(
            a_request(**fields), principal=a_principal(tenant_id), connection_id=connection_id
        )
        assert response_id is not None
        return response_id

    async def resume(
        self,
        response_id: str,
        *,
        starting_after: int = -1,
        tenant_id: str = TENANT,
        connection_id: str = CONNECTION,
    ) -> None:
        request = ResumeResponse(
            type="response.resume", response_id=response_id, starting_after=starting_after
        )
        await self.service.resume(
            request, principal=a_principal(tenant_id), connection_id=connection_id
        )

    async def cancel(
        self,
        response_id: str,
        *,
        stream_id: str | None = None,
        tenant_id: str = TENANT,
        connection_id: str = CONNECTION,
    ) -> dict[str, Any] | None:
        request = CancelResponse(
            type="response.cancel", response_id=response_id, stream_id=stream_id
        )
        return await self.service.cancel(
            request, principal=a_principal(tenant_id), connection_id=connection_id
        )

    async def refusal(self, **arguments: Any) -> RequestError:
        """Submit what is refused; nothing of it may be left."""
        published = len(self.valkey.published)
        try:
            await self.submit(**arguments)
        except RequestError as error:
            assert len(self.valkey.published) == published
            assert self.jobs_sent() == []
            return error
        raise AssertionError("it was accepted")

    def jobs_sent(self) -> list[Job]:
        """Take the jobs out of the queue."""
        waiting = self.jobs._visible
        return [Job.decode(waiting.get_nowait().body) for _ in range(waiting.qsize())]

    async def events(self, response_id: str) -> list[dict[str, Any]]:
        """Return a whole answer, checked."""
        return validate_stream(await self.valkey.read(response_id))

    async def status(self, response_id: str) -> Status:
        meta = await self.valkey.describe(response_id)
        assert meta is not None
        return meta.status

    async def where(self, response_id: str) -> tuple[str, int]:
        """Return the connection that gets the response, and the number of its next event."""
        meta = await self.valkey.describe(response_id)
        assert meta is not None
        return meta.connection_id, meta.checkpoint.next_sequence

    async def say(self, response_id: str, *pieces: str) -> "Attempt":
        """A worker claims the response and appends some text."""
        meta = await self.valkey.describe(response_id)
        assert meta is not None
        attempt = Attempt(self, Job.decode(meta.job))
        await attempt.begin()
        for piece in pieces:
            await attempt.append(attempt.transcript.delta(piece, [1]))
        return attempt

    async def answer(self, response_id: str, *pieces: str) -> None:
        """A worker answers the response."""
        await (await self.say(response_id, *pieces)).complete()


class Attempt:
    """A worker's attempt, step by step."""

    def __init__(self, harness: ResponseHarness, job: Job) -> None:
        self.transcript = job.transcript()
        self._harness = harness
        self.job = job
        self._epoch = 0

    async def begin(self) -> None:
        self.transcript.created()
        in_progress = self.transcript.in_progress()
        log = self._harness.valkey
        claim = await log.claim(self.job.response_id, in_progress=in_progress.data)
        self._epoch = claim.epoch

    async def append(
        self, events: list[LoggedEvent], *, status: Status = Status.IN_PROGRESS
    ) -> None:
        await self._harness.valkey.append(
            self.job.response_id, epoch=self._epoch, events=events, status=status
        )

    async def complete(self) -> None:
        await self.append(self.transcript.close_message())
        end = self.transcript.end(Status.COMPLETED, usage=Usage(1, 1))
        output = self.transcript.response["output"]
        await self._harness.turns.put([Turn.of(self.job, output=output)])
        await self.append([end], status=Status.COMPLETED)
        self._finished = FinishedResponse(
            job=self.job,
            response=self.transcript.response,
            event=end,
            epoch=self._epoch,
            status=Status.COMPLETED,
            outline=self.transcript.outline,
        )

    async def store(self) -> None:
        """The record of a complete response arrives in the database."""
        await self._harness.history.send(self._finished.record(ended_ms=1))
