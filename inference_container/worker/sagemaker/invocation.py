"""One invocation: the only attempt at a job, followed by the client that waits for it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.serialization import loads
from worker.attempt.context import AttemptContext
from worker.attempt.runner import JobRunner
from worker.engines.protocol import EngineDeadError
from worker.outcome import AttemptOutcome
from worker.sagemaker.answer_log import AnswerLog
from worker.sagemaker.failure import Failure

logger = logging.getLogger(__name__)

_RECEIVED = ReceivedJob(body="", receipt_handle="", receive_count=1)


class Invocation:
    """Answers a job with the worker's own stages, once.

    Parameters
    ----------
    job : Job
        The request in the form that a worker runs.
    context : Callable[[AnswerLog], AttemptContext]
        Returns the context of an attempt that writes to this log.
    timeout_s : float
        Seconds for the whole answer.
    died : Callable[[EngineDeadError], None]
        Called with the error if the engine dies.
    """

    def __init__(
        self,
        job: Job,
        *,
        context: Callable[[AnswerLog], AttemptContext],
        timeout_s: float,
        died: Callable[[EngineDeadError], None],
    ) -> None:
        self._job = job
        self._log = AnswerLog(job)
        self._context = context(self._log)
        self._timeout_s = timeout_s
        self._died = died
        self._failure: Failure | None = None

    @property
    def failure(self) -> Failure | None:
        """The failure of the response, if it has failed; its events may not be read to the end."""
        if self._log.status is not Status.FAILED:
            return None
        return self._failure or Failure.of_response(loads(self._log.last.data)["response"]["error"])

    async def events(self) -> AsyncGenerator[LoggedEvent, None]:
        """Yield all events; close this generator to abort the generation and free its slot."""
        running = asyncio.create_task(self._run(), name=self._job.response_id)
        running.add_done_callback(lambda _: self._log.close())
        try:
            async with aclosing(self._log.follow()) as events:
                async for event in events:
                    yield event
        finally:
            if self._log.status.terminal:
                await running
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _run(self) -> None:
        context, job = self._context, self._job
        outcome = AttemptOutcome.CANCELLED
        try:
            with context.tracing.receive(
                "invocation", header=None, response_id=job.response_id, model=job.model
            ):
                outcome = await self._answer()
        finally:
            context.metrics.ended(outcome)

    async def _answer(self) -> AttemptOutcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await JobRunner(context=self._context).run(self._job, _RECEIVED)
        except TimeoutError as error:
            await self._fail(error)
            return AttemptOutcome.OVERDUE
        except EngineDeadError as error:
            await self._fail(error)
            self._died(error)
            return AttemptOutcome.FAILED
        except Exception as error:
            logger.exception("%s has failed", self._job.response_id)
            await self._fail(error)
            return AttemptOutcome.FAILED
        if result.outcome is AttemptOutcome.RELEASED:
            await self._fail(UnavailableError("the endpoint ends"))
        return result.outcome

    async def _fail(self, error: Exception) -> None:
        self._failure = failure = Failure.of(error)
        # Failed responses have fewer codes than HTTP errors.
        wire = {"code": "server_error", "message": failure.message}
        await self._log.end(self._job.response_id, Status.FAILED, error=wire)
