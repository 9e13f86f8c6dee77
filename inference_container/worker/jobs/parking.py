"""Jobs of condemned requests, kept for the operator among the dead letters."""

from typing_extensions import override

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsParking
from axon.jobs import Job, ReceivedJob
from worker.jobs.consumer import Parking

_WHY = "made workers fail repeatedly, the last one while it ran alone"


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
    async def park(self, received: ReceivedJob) -> None:
        await self._parking.park(
            ParkedDeadLetter(
                message_id=received.message_id,
                body=received.body,
                why=_WHY,
                attempts=received.receive_count,
                response_id=Job.decode(received.body).response_id,
            )
        )
