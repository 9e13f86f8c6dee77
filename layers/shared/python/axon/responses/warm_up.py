"""WarmUps: ends requests that generate nothing."""

from axon.event_log.log import EventLog, Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.responses.finisher import FinishedResponse, ResponseFinisher
from axon.responses.terminator import ResponseTerminator

UNSENT = {"code": "server_error", "message": "The request could not be queued. Please retry."}


class WarmUps:
    """Ends requests that generate nothing (`generate: false`), where they are accepted.

    Parameters
    ----------
    event_log : EventLog
        The log of the responses.
    finisher : ResponseFinisher
        Stores the empty response, then appends its end.
    terminator : ResponseTerminator
        Ends a warm-up that another process has claimed, or that cannot be stored.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        finisher: ResponseFinisher,
        terminator: ResponseTerminator,
    ) -> None:
        self._log = event_log
        self._finisher = finisher
        self._terminator = terminator

    async def end(self, job: Job) -> None:
        """End a warm-up at once with an empty response, which the next request may continue.

        Raises
        ------
        UnavailableError
            Its log was lost, or others claim it again and again.
        """
        try:
            try:
                await self._complete(job)
            except FencedError:
                # It has ended, or another process has claimed it since, and may have died: the
                # terminator leaves the former, and ends the latter as this would have.
                await self._terminator.end(job.response_id, Status.COMPLETED, job=job)
        except MissingResponseError as error:
            raise UnavailableError(f"{job.response_id} has just been lost") from error
        except UnavailableError:
            await self._terminator.end(job.response_id, Status.FAILED, error=UNSENT, job=job)

    async def _complete(self, job: Job) -> None:
        transcript = job.transcript()
        transcript.created()
        in_progress = transcript.in_progress()
        claim = await self._log.claim(job.response_id, in_progress=in_progress.data)
        completed = transcript.end(Status.COMPLETED, usage=Usage())
        finished = FinishedResponse(
            job=job,
            response=transcript.response,
            outline=transcript.outline,
            forks=claim.forks,
            event=completed,
            epoch=claim.epoch,
            status=Status.COMPLETED,
        )
        await self._finisher.finish(
            finished,
            append=lambda event: self._log.append(
                job.response_id,
                epoch=claim.epoch,
                events=[event],
                status=Status.COMPLETED,
                nonce=claim.nonce,
                predecessor=claim.predecessor,
            ),
        )
