"""ParkedJobs: what the operator gets of a job that no worker should run again."""

from typing import cast

import pytest

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsParking
from axon.jobs import ReceivedJob
from tests.unit.axon.samples import a_job
from worker.jobs.parking import ParkedJobs


class FakeSqsParking:
    """Keeps dead letters."""

    def __init__(self) -> None:
        self.kept: list[ParkedDeadLetter] = []

    async def park(self, dead_letter: ParkedDeadLetter) -> None:
        self.kept.append(dead_letter)


JOB = a_job()


@pytest.mark.parametrize(
    ("body", "response_id"),
    [
        (JOB.encode().decode(), JOB.response_id),
        (f'{{"response": {{"id": "{JOB.response_id}"}}}}', JOB.response_id),
        ("poison", None),
    ],
    ids=["job", "id alone", "no id"],
)
async def test_parked_jobs_keeps_a_job_that_cannot_be_read(
    body: str, response_id: str | None
) -> None:
    queue = FakeSqsParking()
    received = ReceivedJob(body=body, receipt_handle="r", receive_count=3, message_id="m")
    await ParkedJobs(parking=cast("SqsParking", queue)).park(received, why="it is broken")
    assert queue.kept == [
        ParkedDeadLetter(
            message_id="m", body=body, why="it is broken", attempts=3, response_id=response_id
        )
    ]
