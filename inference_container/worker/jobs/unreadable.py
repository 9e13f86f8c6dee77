"""UnreadableJobs: sets aside jobs that no version can read, and postpones those of newer ones."""

import logging

from typing_extensions import override

from axon.event_log.log import AttemptLog, Status
from axon.exceptions import UnavailableError
from axon.formats import UnreadableError, UnreadableLogError
from axon.jobs import ReceivedJob, response_id_in
from worker.attempt.context import Terminator
from worker.jobs.consumer import Parking, UnreadablePolicy
from worker.outcome import MessageAction

logger = logging.getLogger(__name__)

UNREADABLE = {
    "code": "server_error",
    "message": "The request could not be read by the server. Please send it again.",
}


class UnreadableJobs(UnreadablePolicy):
    """Decides about jobs that this version cannot read.

    One of a newer version waits for a worker of that version, until its response ends. Nothing can
    read any other one: its response fails, and the message goes to the operator.

    Parameters
    ----------
    event_log : AttemptLog
        Has the responses.
    terminator : Terminator
        Ends the response of a job that nothing can read.
    parking : Parking | None
        Keeps such a job; None to leave its message to SQS's redrive.
    """

    def __init__(
        self, *, event_log: AttemptLog, terminator: Terminator, parking: Parking | None
    ) -> None:
        self._log = event_log
        self._terminator = terminator
        self._parking = parking

    @override
    async def handle(self, received: ReceivedJob, error: UnreadableError) -> MessageAction:
        response_id = response_id_in(received.body)
        try:
            if error.newer:
                return await self._newer(response_id)
            return await self._set_aside(received, error, response_id)
        except (UnavailableError, UnreadableLogError) as failure:
            logger.warning("message %s is not set aside: %s", received.message_id, failure)
        except Exception:
            logger.exception("message %s is not set aside", received.message_id)
        # The delays grow here, too: a fault that stays costs few receives and log lines.
        return MessageAction.POSTPONE

    async def _newer(self, response_id: str | None) -> MessageAction:
        """Return the action on a job of a newer version.

        Relays end its response at the deadline. Without this look at it, the message would go on
        until its receives are used up.
        """
        meta = await self._log.describe(response_id) if response_id else None
        ended = meta is not None and meta.status.terminal
        return MessageAction.DELETE if ended else MessageAction.POSTPONE

    async def _set_aside(
        self, received: ReceivedJob, error: UnreadableError, response_id: str | None
    ) -> MessageAction:
        """End the response, then park the message; both may be repeated without harm."""
        if response_id:
            await self._terminator.end(response_id, Status.FAILED, error=UNREADABLE)
        if self._parking is None:
            return MessageAction.LEAVE
        # Before the deletion: whatever fails here, the message is parked at a later receive.
        await self._parking.park(received, why=f"not a job: {error.reason}")
        logger.error(
            "message %s is parked, response %s: %s", received.message_id, response_id, error
        )
        return MessageAction.DELETE
