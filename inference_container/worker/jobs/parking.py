"""Jobs that no worker should run again, kept for the operator among the dead letters."""

from typing_extensions import override

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsParking
from axon.jobs import ReceivedJob, response_id_in
from worker.jobs.consumer import Parking


class ParkedJobs(Parking):
    """Sends jobs to the queue that `axon dlq` shows.

    Parameters
    ----------
    parking : SqsParking
        The queue.
    """

    def __init__(self, *, parking: SqsParking) -> None:
        self._parking = parking

    @override
    async def park(self, received: ReceivedJob, *, why: str) -> None:
        await self._parking.park(
            ParkedDeadLetter(
                message_id=received.message_id,
                body=received.body,
                why=why,
                attempts=received.receive_count,
                response_id=response_id_in(received.body),
            )
        )
