"""A request that kills its workers, and one that none can read: it ends alone, and is kept."""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from axon.event_log.log import Status
from axon.serialization import dumps, loads
from local.services.queues import JOBS_PARKED
from tests.integration.worker.conftest import Processes, WorkerHarness
from tests.integration.worker.test_worker_death import exactly
from worker.attempt.endings import CONDEMNED
from worker.jobs.unreadable import UNREADABLE

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


@pytest.fixture
def visibility_s() -> int:
    """Longer than the test: only workers that start later release what dead ones held."""
    return 120


@pytest.fixture
def variables(variables: dict[str, str], make_queue: Callable[..., str]) -> dict[str, str]:
    return variables | {"AXON_PARKED_QUEUE_URL": make_queue(JOBS_PARKED)}


async def test_poison_ends_alone_and_is_kept(harness: WorkerHarness, processes: Processes) -> None:
    """Kill each worker during the prefill, as such a request would; the last one runs it alone."""

    def start(ttft_ms: int) -> "subprocess.Popen[str]":
        return processes.start(slots="1", worker_id="w", echo_ttft_ms=str(ttft_ms))

    response_id = await harness.submit(input="count to 3")
    for attempt in range(1, 4):
        worker = start(120_000)
        await harness.claimed(response_id, epoch=attempt, seconds=60)
        await harness.listed()
        if attempt == 3:
            await harness.isolated(response_id)
        worker.kill()
        worker.wait()
    start(0)
    decoded = await harness.ended(response_id, seconds=60)
    assert decoded[-1]["response"]["error"] == {"code": "invalid_prompt", "message": CONDEMNED}
    assert (await harness.describe(response_id)).status is Status.FAILED
    await harness.done()
    assert harness.depth("parked") == 1
    await exactly(harness, await harness.submit(input="count to 5"), count=5)


async def test_job_that_no_worker_can_read_ends_at_its_first_receive_and_is_kept(
    harness: WorkerHarness, sqs_client: "SQSClient"
) -> None:
    url = harness.variables["AXON_JOBS_QUEUE_URL"]
    response_id = await harness.submit(input="count to 3")
    (message,) = sqs_client.receive_message(QueueUrl=url)["Messages"]
    sqs_client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    body = loads(message["Body"]) | {"created_ms": "long ago"}
    sqs_client.send_message(QueueUrl=url, MessageBody=dumps(body).decode())
    async with harness.worker():
        decoded = await harness.ended(response_id)
        await harness.done()
    assert decoded[-1]["response"]["error"] == UNREADABLE
    assert harness.depth("parked") == 1
