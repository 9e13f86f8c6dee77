"""Jobs that get lost after they were sent: a test's queue deletes those of doomed requests."""

from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.aws.sqs import SqsJobQueue
from axon.jobs import ReceivedJob
from tests.chaos.plans import DOOMED


class LosingJobQueue(SqsJobQueue):
    """Gives a worker no job of a doomed request, and deletes it."""

    @override
    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        received = await super().receive(limit=limit)
        lost = [job for job in received if DOOMED.prompt in job.body]
        for job in lost:
            await self.delete(job)
        return [job for job in received if job not in lost]
