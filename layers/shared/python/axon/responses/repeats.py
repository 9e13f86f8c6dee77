"""RepeatedRequests: answers requests whose idempotency key was used before."""

from axon.event_log.log import EventLog, ResponseMeta
from axon.event_log.openings import Opening
from axon.exceptions import RequestError, UnavailableError
from axon.jobs import Job, JobSender
from axon.protocol.requests import CreateResponse
from axon.responses.fingerprint import digest, fingerprint
from axon.responses.warm_up import WarmUps
from axon.scaling import WorkerScaler
from axon.serialization import dumps


class RepeatedRequests:
    """Answers a request whose idempotency key was used before with the first one's response.

    Parameters
    ----------
    event_log : EventLog
        Has the first request's response.
    jobs : JobSender
        Gets the job again of a response that nobody has begun.
    scaler : WorkerScaler
        Starts a worker where none runs.
    warm_ups : WarmUps
        Ends a warm-up whose first request died before it could.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        jobs: JobSender,
        scaler: WorkerScaler,
        warm_ups: WarmUps,
    ) -> None:
        self._log = event_log
        self._jobs = jobs
        self._scaler = scaler
        self._warm_ups = warm_ups

    async def answer(self, opening: Opening, request: CreateResponse) -> str:
        """Answer with the response that the first request of this idempotency key began.

        Parameters
        ----------
        opening : Opening
            The opening that found the key in use, and had the response delivered to where the
            request came from (`EventLog.open`).
        request : CreateResponse
            The repeated request.

        Returns
        -------
        str
            The id of the first request's response.

        Raises
        ------
        RequestError
            The key was used for another request.
        UnavailableError
            The response was lost just now, or cannot be queued.
        """
        if opening.fingerprint != fingerprint(request):
            raise RequestError(
                "The idempotency key was used for another request. Use a new one.",
                code="idempotency_key_reused",
                param="idempotency_key",
                status=409,
            )
        first = await self._log.describe(opening.first_id)
        if first is None:
            raise UnavailableError(f"{opening.first_id} has just been lost")
        # Who began it may have died before it was on its way; twice is harmless.
        if first.job and not request.generate:
            await self._warm_ups.end(Job.decode(first.job))
        elif first.job and first.epoch == 0:
            await self._send_again(first)
        return first.response_id

    async def _send_again(self, first: ResponseMeta) -> None:
        """Send the job of a response that nobody has begun, unless that was done lately."""
        if not await self._log.take_resend(first.response_id):
            return
        try:
            await self._jobs.send(Job.decode(first.job))
        except UnavailableError:
            await self._log.undo_resend(first.response_id)
            raise
        await self._scaler.ensure_running()


def idempotency_of(request: CreateResponse, tenant_id: str) -> str:
    """Return a digest of the tenant and the key; the empty string if there is no key."""
    key = request.idempotency_key
    return digest(dumps([tenant_id, key])) if key else ""
