"""Jobs that are sent at the same time."""

import asyncio
from typing import Any, cast

import pytest

from axon.adapters.aws.sqs import SqsJobSender
from axon.adapters.aws.sqs_api import SqsApi
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import Job
from tests.unit.axon.samples import a_job


class RefusingApi:
    """Takes calls; refuses batches and messages as its test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.failed: list[dict[str, Any]] = []
        self.batch_error: Exception | None = None
        self.refused: set[str] = set()

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        entries = parameters.get("Entries") or [parameters]
        ids = [Job.decode(entry["MessageBody"]).response_id for entry in entries]
        self.calls.append((operation, ids))
        await asyncio.sleep(0)
        if self.refused & set(ids):
            raise PermanentRefusalError("refused")
        if operation == "SendMessage":
            return {}
        if self.batch_error is not None:
            raise self.batch_error
        return {"Failed": self.failed}


JOBS = [a_job(response_id=f"resp_{number}") for number in range(4)]
IDS = [job.response_id for job in JOBS]


async def outcomes(api: RefusingApi) -> list[Any]:
    sender = SqsJobSender(api=cast("SqsApi", api))
    return await asyncio.gather(*map(sender.send, JOBS), return_exceptions=True)


async def test_job_sender_joins_jobs_of_the_same_moment_and_sends_a_lone_one_by_itself() -> None:
    api = RefusingApi()
    assert await outcomes(api) == [None] * 4
    await SqsJobSender(api=cast("SqsApi", api)).send(JOBS[0])
    assert api.calls == [("SendMessageBatch", IDS), ("SendMessage", IDS[:1])]


async def test_job_sender_repeats_an_entry_that_failed_for_the_moment_and_no_other() -> None:
    api = RefusingApi()
    api.failed = [
        {"Id": "1", "Code": "InternalError", "SenderFault": False},
        {"Id": "2", "Code": "InvalidMessageContents", "SenderFault": True},
    ]
    failed = await outcomes(api)
    assert [failed[0], failed[1], failed[3]] == [None] * 3
    assert isinstance(failed[2], PermanentRefusalError)
    assert api.calls == [("SendMessageBatch", IDS), ("SendMessage", [IDS[1]])]


async def test_job_sender_lets_a_job_that_sqs_refuses_fail_alone() -> None:
    api = RefusingApi()
    api.refused = {IDS[2]}
    failed = await outcomes(api)
    assert [failed[0], failed[1], failed[3]] == [None] * 3
    assert isinstance(failed[2], PermanentRefusalError)


@pytest.mark.parametrize("error", [UnavailableError("away"), RuntimeError("bug")])
async def test_job_sender_fails_all_jobs_of_a_call_that_fails(error: Exception) -> None:
    api = RefusingApi()
    api.batch_error = error
    assert await outcomes(api) == [error] * 4
    assert len(api.calls) == 1
