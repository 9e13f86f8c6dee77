"""JobRunner: runs a received job here or on a peer, and ends responses that no attempt can end."""

from typing import Protocol

from axon.event_log.log import Status
from axon.exceptions import (
    FencedError,
    MissingResponseError,
    PermanentRefusalError,
    UnavailableError,
)
from axon.formats import UnreadableLogError
from axon.history import LOSING_EPOCH
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import FinishedResponse
from axon.responses.terminator import OVERDUE
from axon.retry import RetryPolicy
from worker.attempt.attempt import Attempt
from worker.attempt.context import AttemptContext
from worker.attempt.endings import (
    ENDINGS,
    LOST,
    OutsideFailure,
    ResponseFailure,
    ending_of,
)
from worker.attempt.fence_watch import FenceNoticedError, has_ended
from worker.attempt.retry_policy import OverdueError
from worker.claimers import EndedError
from worker.outcome import AttemptResult

_END_LIMIT_S = 60.0
"""Seconds for which an overdue response's end is tried; relays try it, too."""


class JobRouter(Protocol):
    """Decides which worker runs a job (`worker.cluster.router.Router`)."""

    async def route(self, job: Job, received: ReceivedJob) -> AttemptResult | None:
        """Return the result for a job that is not to be run here now, else None."""
        ...


class JobRunner:
    """Runs jobs: routes each one, and attempts it if it is to run here.

    Parameters
    ----------
    context : AttemptContext
        What attempts share.
    router : JobRouter | None
        None to run every job here.
    """

    def __init__(self, *, context: AttemptContext, router: JobRouter | None = None) -> None:
        self._context = context
        self._router = router

    async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
        """Bring a job's response to its end, or leave it to another attempt; return which.

        Raises
        ------
        EngineDeadError
            The engine has died; another worker can run the job.
        UnavailableError
            A service is unavailable, and the worker drains.
        """
        try:
            if routed := await self._route(job, received):
                return routed
            await self._context.check_deadline(job)
            return await Attempt(job, received, context=self._context).run()
        except Exception as error:
            return await self._settle(job, received, self._explain(error))

    async def _route(self, job: Job, received: ReceivedJob) -> AttemptResult | None:
        """Return the result for a job that is not to be run here now, else None.

        The job may wait here for its model. If its response ends meanwhile, so does the wait.
        """
        if self._router is None:
            return None
        try:
            async with self._context.fence_watch.guard(job.response_id, fenced=has_ended):
                return await self._router.route(job, received)
        except FenceNoticedError as error:
            raise EndedError(str(error)) from error

    def _explain(self, error: Exception) -> Exception:
        """Return what an error means for a job.

        Attempts retry while a service is unavailable. They give up for one of two reasons: the
        worker drains, which leaves the job to another one, or the job's deadline has passed.
        """
        if isinstance(error, PermanentRefusalError):
            return error
        if isinstance(error, UnavailableError) and not self._context.shutdown.draining.is_set():
            return OverdueError(f"its deadline passed while a service was unavailable: {error}")
        return error

    async def _settle(self, job: Job, received: ReceivedJob, error: Exception) -> AttemptResult:
        ending = ending_of(error)
        # A failure that the attempt was to tell its client of, but did not, is a bug of this code.
        if ending.escalates or isinstance(ending.client, ResponseFailure):
            raise error
        ending.log(job.response_id, error)
        try:
            match ending.client:
                case OutsideFailure.OVERDUE if await self._log_exists(job):
                    await self._fail_overdue(job)
                case OutsideFailure.OVERDUE | OutsideFailure.LOST:
                    # Of a response without a log, nothing but its job can tell its client.
                    return await self._fail_lost(job, received)
        except UnreadableLogError as unreadable:  # only a newer version can end it
            ending = ending_of(unreadable)
            ending.log(job.response_id, unreadable)
        return ending.result_of(error)

    async def _fail_overdue(self, job: Job) -> None:
        # Without a deadline of its own: the client waits for this end, and nothing else sends it.
        retry = RetryPolicy(stop=self._context.shutdown.draining, within_s=_END_LIMIT_S)
        await retry.run(
            lambda: self._context.terminator.end(job.response_id, Status.FAILED, error=OVERDUE)
        )

    async def _log_exists(self, job: Job) -> bool:
        log = self._context.event_log
        retry = RetryPolicy(stop=self._context.shutdown.draining, within_s=_END_LIMIT_S)
        return await retry.run(lambda: log.describe(job.response_id)) is not None

    async def _fail_lost(self, job: Job, received: ReceivedJob) -> AttemptResult:
        """Fail a response whose log Valkey has lost, unless it may have ended before.

        The log was the only record of what the client has received, so no attempt can continue.
        """
        # The job's age says nothing: its log may have expired after the end, or a failover may have
        # lost it while the response ran. The history knows the difference.
        if await self._context.ended_in_history(job) and not await self._in_progress(job):
            return ENDINGS[EndedError].result
        # A failover may undo the end that the history has, and keep the log. Its client waits, so
        # the log is ended, by one event, as any other that may lack what the client has.
        event_writer = self._context.event_writer(job, received)
        transcript = job.transcript()
        event = await event_writer.fail_lost(transcript, LOST)
        if event is None:
            return ENDINGS[FencedError].result
        # The one end whose event comes before its history, the reverse of the finisher's order.
        # Only the restored log shows that this epoch owns the end. Stored before, the record could
        # report a failure, under a higher version, of a response that another attempt completes.
        # If the worker dies here, the client has the failure and the database misses the record.
        finished = FinishedResponse(
            job=job,
            response=transcript.response,
            outline=transcript.outline,
            event=event,
            epoch=LOSING_EPOCH,
            status=Status.FAILED,
        )
        await self._context.finisher.store_ended(
            finished, retry=self._context.retry_policy(begun=True)
        )
        return ENDINGS[MissingResponseError].result

    async def _in_progress(self, job: Job) -> bool:
        """Return whether the log exists and has no end."""
        log = self._context.event_log
        meta = await self._context.log_retry_policy().run(lambda: log.describe(job.response_id))
        return meta is not None and not meta.status.terminal
