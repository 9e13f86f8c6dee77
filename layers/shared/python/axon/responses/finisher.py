"""ResponseFinisher: the one way to finish a response, from inside an attempt and from outside."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from axon.clock import now_ms
from axon.conversations import Turn, TurnCache, TurnIdentity
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.history import HistoryRecord, HistorySender, version_of
from axon.jobs import Job
from axon.protocol.objects import Json
from axon.protocol.outlines import Outline
from axon.retry import RetryPolicy
from axon.serialization import dumps, loads

logger = logging.getLogger(__name__)

NO_RETRY = RetryPolicy(errors=(), max_attempts=1)
"""One attempt: for callers that are called again themselves, or whose client waits."""
OPTIONAL_HISTORY_S = 3.0
"""Seconds for which an end waits for a history that is not required. A call that SQS does not
answer takes 8.75 to 28.75 s with its retries, and others wait for it in the batcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedResponse:
    """A response that is about to end, with what its record and terminal event need.

    Parameters
    ----------
    job : Job
        The job that asked for it: tenant, conversation, input.
    response : Json
        The response object as the terminal event shows it.
    event : LoggedEvent
        The terminal event.
    epoch : int
        Epoch of the attempt or terminator that ends it; it must hold the claim.
    forks : str
        Those of that claim (`axon.event_log.log.Claim`).
    status : Status
        The terminal status.
    outline : Outline
        Of the events before the terminal one.
    """

    job: Job
    response: Json
    event: LoggedEvent
    epoch: int
    status: Status
    outline: Outline
    forks: str = ""

    def record(self, *, ended_ms: int) -> HistoryRecord:
        """Return the response as the database will keep it."""
        return HistoryRecord.of(
            self.job,
            response=self.response,
            version=version_of(epoch=self.epoch, sequence_number=self.event.sequence_number),
            ended_ms=ended_ms,
            outline=self.outline.stored_with(self.job, forks=self.forks),
        )

    def unstored(self) -> "FinishedResponse":
        """Return the response as one that is not stored, for its client and for its turn."""
        event = loads(self.event.data)
        event["response"]["store"] = False
        return replace(
            self,
            job=self.job.model_copy(update={"response": self.job.response | {"store": False}}),
            response=self.response | {"store": False},
            event=replace(self.event, data=dumps(event)),
        )


class ResponseFinisher:
    """Stores a response that ends, keeps its turn, and only then appends its terminal event.

    The order is an invariant. A client that has seen the terminal event may continue the response
    at once, so by then the history queue must have accepted the record and the cache must have the
    turn. If the process dies in between, the client has seen no end: the next attempt or terminator
    finishes the response again under a higher epoch, and its record replaces this one, because a
    record's version begins with the epoch.

    A record that the queue refuses for good costs the history, not the answer: the response ends
    with `store: false` in its terminal event, and can be continued on its connection alone, as any
    response that is not stored; a followed one has none, and cannot be continued.

    One caller uses `store_ended`, after its terminal event: the worker that fails a response whose
    log was lost. Only when it has restored the log does it know that it owns the end.

    Parameters
    ----------
    history : HistorySender
        Queue before the database, for responses that are stored.
    turns : TurnCache
        Where a request that continues the response looks first.
    history_lost : Callable[[], None]
        Called for each response that ends without its history, for a metric.
    clock_ms : Callable[[], int]
        Milliseconds of the Unix epoch, for the record's end.
    """

    def __init__(
        self,
        *,
        history: HistorySender,
        turns: TurnCache,
        history_lost: Callable[[], None] = lambda: None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._history = history
        self._turns = turns
        self._history_lost = history_lost
        self._clock_ms = clock_ms

    async def finish(
        self,
        finished: FinishedResponse,
        *,
        append: Callable[[LoggedEvent], Awaitable[object]],
        continued: Sequence[TurnIdentity] = (),
        retry: RetryPolicy = NO_RETRY,
        history_required: bool = True,
    ) -> None:
        """Finish a response.

        Parameters
        ----------
        finished : FinishedResponse
            The response and its terminal event, not yet appended.
        append : Callable[[LoggedEvent], Awaitable[object]]
            Appends the terminal event, which it is given, with its status, under the finished
            response's epoch. It brings its own retries: what a lost log or a fence means differs
            from caller to caller.
        continued : Sequence[TurnIdentity]
            Turns that a failed response was to continue, oldest first, if the last one is to be
            evicted; empty where the client may try the same continuation again.
        retry : RetryPolicy
            For the history queue and the cache; each may be called again without harm.
        history_required : bool
            False to append the terminal event even when the history queue is away, or has not
            accepted the record within `OPTIONAL_HISTORY_S`.

        Raises
        ------
        UnavailableError
            The history queue or the cache stayed away; nothing was appended.
        """
        finished = await self._stored(finished, retry=retry, required=history_required)
        if finished.status is Status.FAILED:
            # Nothing continues a failed response, so it leaves no turn.
            await retry.run(lambda: self.evict_parent(continued))
        elif finished.job.continuable:
            turn = Turn.of(finished.job, output=finished.response["output"])
            await retry.run(lambda: self._turns.put([turn]))
        await append(finished.event)

    async def store(self, finished: FinishedResponse, *, retry: RetryPolicy = NO_RETRY) -> None:
        """Send the response to the history, if it is to be stored.

        Raises
        ------
        UnavailableError
            The history queue stayed away.
        """
        if finished.job.stored:
            record = finished.record(ended_ms=self._clock_ms())
            await retry.run(lambda: self._history.send(record))

    async def store_ended(
        self, finished: FinishedResponse, *, retry: RetryPolicy = NO_RETRY
    ) -> None:
        """Send a response to the history whose terminal event its client has already.

        A record that is refused for good is only noted: the event cannot be taken back.

        Raises
        ------
        UnavailableError
            The history queue stayed away.
        """
        try:
            await self.store(finished, retry=retry)
        except PermanentRefusalError as error:
            self._note_lost(finished, error)

    async def evict_parent(self, continued: Sequence[TurnIdentity]) -> None:
        """Evict the response that a failed continuation continued, unless it is stored.

        The client then starts again with its full context. A stored parent stays, because the
        database has it.

        Parameters
        ----------
        continued : Sequence[TurnIdentity]
            The turns up to the parent, oldest first.
        """
        if continued and (parent := continued[-1]).connection_id is not None:
            await self._turns.evict(parent.response_id)

    async def _stored(
        self, finished: FinishedResponse, *, retry: RetryPolicy, required: bool
    ) -> FinishedResponse:
        """Store a response; return it as unstored where it ends without its history."""
        try:
            await self._store_within(None if required else OPTIONAL_HISTORY_S, finished, retry)
        except UnavailableError as error:
            refused = isinstance(error, PermanentRefusalError)
            if required and not refused:
                raise
            # The answer is made. To fail it for its record would cost the client both.
            self._note_lost(finished, error)
            return finished.unstored()
        return finished

    async def _store_within(
        self, seconds: float | None, finished: FinishedResponse, retry: RetryPolicy
    ) -> None:
        if seconds is None:
            await self.store(finished, retry=retry)
            return
        try:
            async with asyncio.timeout(seconds):
                await self.store(finished, retry=retry)
        except TimeoutError as error:
            raise UnavailableError(f"no answer from the history queue in {seconds} s") from error

    def _note_lost(self, finished: FinishedResponse, error: Exception) -> None:
        logger.error("%s ends without its history: %s", finished.job.response_id, error)
        self._history_lost()
