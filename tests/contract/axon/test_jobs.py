"""The jobs and the history queue: in memory, by fauxqs, fauxqs with its file, and moto."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws.sqs import SqsHistorySender, SqsJobQueue, SqsJobSender
from axon.adapters.aws.sqs_api import SqsApi
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.history import HistoryRecord
from axon.jobs import Job, JobQueue, JobSender, ReceivedJob
from axon.testing.stores import FakeJobQueue
from tests.support.moto_aws import moto_aws
from tests.unit.axon.samples import a_job

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Both sides of a jobs queue, and how to put any body there."""

    sender: JobSender
    queue: JobQueue

    async def receive(self, count: int) -> list[ReceivedJob]:
        """Receive until there are `count`, as SQS may return fewer at a time."""
        received: list[ReceivedJob] = []
        async with asyncio.timeout(10):
            while len(received) < count:
                received += await self.queue.receive(limit=count - len(received))
        return received


@dataclass(frozen=True, kw_only=True)
class History:
    """The history queue: the sender, and what arrived behind it."""

    sender: SqsHistorySender
    client: "SQSClient"
    queue_url: str

    def arrived(self, count: int) -> list[HistoryRecord]:
        records: list[HistoryRecord] = []
        while len(records) < count:
            answer = self.client.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2
            )
            assert answer.get("Messages"), f"{len(records)} of {count} arrived"
            for message in answer["Messages"]:
                records.append(HistoryRecord.model_validate_json(message["Body"]))
                self.client.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return records


@asynccontextmanager
async def sqs_api(queue_url: str) -> AsyncIterator[SqsApi]:
    api = SqsApi(
        queue_url=queue_url,
        region=REGION,
        credentials=lambda: ReadOnlyCredentials("local", "local", None),
    )
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def moto_queue(name: str, **attributes: str) -> AsyncIterator[tuple[str, "SQSClient"]]:
    """Yield the queue's URL behind moto's port, and boto3's client for the same queue."""
    async with moto_aws("sqs") as endpoint:
        client = boto3.client("sqs", region_name=REGION)
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
        yield f"{endpoint}/{url.rpartition('/')[2]}", client
        client.close()


@pytest.fixture(params=["fake", "fauxqs", "fauxqs_file", "moto"])
async def jobs(request: pytest.FixtureRequest) -> AsyncIterator[Jobs]:
    if request.param == "fake":
        fake = FakeJobQueue()
        yield Jobs(sender=fake, queue=fake)
        return
    async with AsyncExitStack() as stack:
        if request.param == "moto":
            url, _ = await stack.enter_async_context(moto_queue("jobs"))
        else:
            url = request.getfixturevalue("jobs_queue_url")
        api = await stack.enter_async_context(sqs_api(url))
        yield Jobs(sender=SqsJobSender(api=api), queue=SqsJobQueue(api=api))


@pytest.fixture(params=["fauxqs", "fauxqs_file", "moto"])
async def history(request: pytest.FixtureRequest) -> AsyncIterator[History]:
    async with AsyncExitStack() as stack:
        if request.param == "moto":
            url, client = await stack.enter_async_context(
                moto_queue("history.fifo", FifoQueue="true")
            )
        else:
            url = request.getfixturevalue("history_queue_url")
            client = request.getfixturevalue("sqs_client")
        api = await stack.enter_async_context(sqs_api(url))
        yield History(sender=SqsHistorySender(api=api), client=client, queue_url=url)


class TestJobQueue:
    async def test_delivers_a_job_as_it_was_sent(self, jobs: Jobs) -> None:
        job = a_job(input='wörld 🌍 \x00 \ufffe\uffff \u2028 "\\ \r\n', stream_id="s")
        await jobs.sender.send(job)
        (received,) = await jobs.receive(1)
        assert Job.decode(received.body) == job
        assert received.receive_count == 1

    async def test_delivers_no_more_jobs_than_asked_for(self, jobs: Jobs) -> None:
        sent = [a_job() for _ in range(5)]
        for job in sent:
            await jobs.sender.send(job)
        first = await jobs.queue.receive(limit=2)
        assert 1 <= len(first) <= 2
        rest = await jobs.receive(5 - len(first))
        received = {Job.decode(message.body).response_id for message in [*first, *rest]}
        assert received == {job.response_id for job in sent}

    async def test_delivers_at_most_ten_jobs(self, jobs: Jobs) -> None:
        await asyncio.gather(*(jobs.sender.send(a_job()) for _ in range(12)))
        first = await jobs.queue.receive(limit=10)
        assert 1 <= len(first) <= 10
        await jobs.receive(12 - len(first))

    async def test_delivers_a_released_job_again(self, jobs: Jobs) -> None:
        await jobs.sender.send(a_job())
        (first,) = await jobs.receive(1)
        await jobs.queue.extend([first], timeout_s=0)
        (second,) = await jobs.receive(1)
        assert second.body == first.body
        assert second.receive_count == 2

    async def test_does_not_deliver_a_deleted_job(self, jobs: Jobs) -> None:
        gone, stays = a_job(), a_job()
        await jobs.sender.send(gone)
        (received,) = await jobs.receive(1)
        await jobs.queue.delete(received)
        await jobs.queue.extend([received], timeout_s=0)
        await jobs.sender.send(stays)
        (other,) = await jobs.receive(1)
        assert Job.decode(other.body) == stays

    async def test_extending_keeps_jobs_invisible(self, jobs: Jobs) -> None:
        for _ in range(12):
            await jobs.sender.send(a_job())
        held = await jobs.receive(12)
        await jobs.queue.extend(held, timeout_s=30)
        await jobs.queue.extend([], timeout_s=30)
        other = a_job()
        await jobs.sender.send(other)
        assert [Job.decode(d.body) for d in await jobs.queue.receive(limit=10)] == [other]

    async def test_extending_reports_a_receipt_that_is_not_valid_any_more(self, jobs: Jobs) -> None:
        for _ in range(12):
            await jobs.sender.send(a_job())
        held = await jobs.receive(12)
        wrong = ReceivedJob(body="", receipt_handle="not a receipt", receive_count=1)
        failed = await jobs.queue.extend([*held[:3], wrong, *held[3:]], timeout_s=30)
        assert [each.received for each in failed] == [wrong]
        assert isinstance(failed[0].error, PermanentRefusalError)

    async def test_deletes_many_jobs_at_once(self, jobs: Jobs) -> None:
        for _ in range(12):
            await jobs.sender.send(a_job())
        await asyncio.gather(*map(jobs.queue.delete, await jobs.receive(12)))
        other = a_job()
        await jobs.sender.send(other)
        assert [Job.decode(d.body) for d in await jobs.queue.receive(limit=10)] == [other]


class TestSqsJobQueue:
    async def test_makes_a_tenant_a_message_group_for_fairness(self) -> None:
        async with moto_queue("jobs") as (url, client), sqs_api(url) as api:
            await SqsJobSender(api=api).send(a_job(tenant_id="tenant-9"))
            answer = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])
            assert answer["Messages"][0]["Attributes"]["MessageGroupId"] == "tenant-9"

    async def test_fails_a_wrong_deletion_alone(self) -> None:
        async with moto_queue("jobs") as (url, _), sqs_api(url) as api:
            queue = SqsJobQueue(api=api)
            await SqsJobSender(api=api).send(a_job())
            (received,) = await queue.receive(limit=1)
            wrong = ReceivedJob(body="", receipt_handle="not a receipt", receive_count=1)
            outcomes = await asyncio.gather(
                queue.delete(ReceivedJob(body="", receipt_handle="neither", receive_count=1)),
                queue.delete(received),
                queue.delete(wrong),
                return_exceptions=True,
            )
        assert isinstance(outcomes[0], PermanentRefusalError)
        assert outcomes[1] is None
        assert isinstance(outcomes[2], PermanentRefusalError)

    async def test_refuses_for_good_a_queue_that_does_not_exist(self, sqs_endpoint: str) -> None:
        async with sqs_api(f"{sqs_endpoint}/000000000000/none") as api:
            with pytest.raises(PermanentRefusalError, match="SQS SendMessage"):
                await SqsJobSender(api=api).send(a_job())
            with pytest.raises(PermanentRefusalError, match="SQS ReceiveMessage"):
                await SqsJobQueue(api=api).receive(limit=1)


TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class TestTraceHeader:
    async def test_arrives_with_its_job(self) -> None:
        async with moto_queue("jobs") as (url, _), sqs_api(url) as api:
            for header in (TRACE, None):
                await SqsJobSender(api=api, trace_header=lambda header=header: header).send(a_job())  # type: ignore[misc]
                (received,) = await SqsJobQueue(api=api).receive(limit=1)
                assert received.trace_header == header

    async def test_is_optional_for_the_delivery_of_a_job(self, jobs_queue_url: str) -> None:
        async with sqs_api(jobs_queue_url) as api:
            job = a_job()
            await SqsJobSender(api=api, trace_header=lambda: TRACE).send(job)
            (received,) = await SqsJobQueue(api=api).receive(limit=1)
            assert Job.decode(received.body) == job
            assert received.trace_header in (TRACE, None)

    async def test_differs_for_each_record(self) -> None:
        """Seen as it is sent: both stand-ins lose it in a batch."""
        sent: list[dict[str, Any]] = []

        async def call(_operation: str, *, Entries: list[dict[str, Any]]) -> dict[str, object]:  # noqa: N803
            sent.extend(Entries)
            return {}

        headers = iter([TRACE, None])
        async with sqs_api("http://127.0.0.1:1/0/history.fifo") as api:
            api.call = call  # type: ignore[method-assign,assignment]
            sender = SqsHistorySender(api=api, trace_header=lambda: next(headers))
            await asyncio.gather(*(sender.send(record(number)) for number in range(2)))
        expected = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
        assert [entry.get("MessageSystemAttributes") for entry in sent] == [expected, None]


def record(number: int, *, conversation: str = "conv", text: str = "") -> HistoryRecord:
    return HistoryRecord(
        response_id=f"resp_{number}",
        previous_response_id=None,
        conversation_id=conversation,
        tenant_id="t",
        version=number,
        created_ms=1,
        ended_ms=2,
        response={"model": "echo"},
        input=[{"content": text}],
    )


class TestHistoryQueue:
    async def test_delivers_a_record_as_it_was_sent(self, history: History) -> None:
        sent = record(1, text="wörld 🌍 \x00 \ufffe\uffff \u2028")
        await history.sender.send(sent)
        assert history.arrived(1) == [sent]

    async def test_keeps_the_records_of_a_conversation_in_order(self, history: History) -> None:
        sent = [record(number) for number in range(25)]
        await asyncio.gather(*map(history.sender.send, sent))
        assert history.arrived(25) == sent

    async def test_delivers_a_repeated_record_once(self, history: History) -> None:
        for number in (1, 1, 2, 1):
            await history.sender.send(record(number))
        assert history.arrived(2) == [record(1), record(2)]
        await history.sender.send(record(3))
        assert history.arrived(1) == [record(3)]

    async def test_splits_large_records_over_batches(self, history: History) -> None:
        sent = [record(n, conversation=f"conv_{n}", text="ö" * 50_000) for n in range(7)]
        await asyncio.gather(*map(history.sender.send, sent))
        arrived = sorted(history.arrived(7), key=lambda made: made.version)
        assert arrived == sent


class TestExtendPartialFailure:
    """Batches that fail in part or as a whole; no real queue can be made to do this on demand."""

    async def test_extends_the_messages_of_all_other_batches(self) -> None:
        messages = [ReceivedJob(body="", receipt_handle=str(n), receive_count=1) for n in range(35)]
        extended: list[str] = []

        async def call(operation: str, *, Entries: list[dict[str, Any]]) -> dict[str, object]:  # noqa: N803
            assert operation == "ChangeMessageVisibilityBatch"
            handles = [entry["ReceiptHandle"] for entry in Entries]
            if "5" in handles:  # the first batch fails as a whole
                raise UnavailableError("away")
            failed = {"12": True, "13": False}  # sender's fault or SQS's own
            extended.extend(handle for handle in handles if handle not in failed)
            return {
                "Failed": [
                    {"Id": entry["Id"], "Code": "X", "SenderFault": failed[entry["ReceiptHandle"]]}
                    for entry in Entries
                    if entry["ReceiptHandle"] in failed
                ]
            }

        async with sqs_api("http://127.0.0.1:1/0/jobs") as api:
            api.call = call  # type: ignore[method-assign,assignment]
            not_extended = await SqsJobQueue(api=api).extend(messages, timeout_s=30)
        assert sorted(map(int, extended)) == [10, 11, *range(14, 35)]
        assert {
            each.received.receipt_handle: isinstance(each.error, PermanentRefusalError)
            for each in not_extended
        } == {str(n): n == 12 for n in (*range(10), 12, 13)}


class TestHistorySenderPartialFailure:
    """A batch that the queue took in part; no real queue can be made to do this on demand."""

    async def test_raises_for_the_messages_that_failed(self) -> None:
        async with sqs_api("http://127.0.0.1:1/0/history.fifo") as api:
            api.call = failing(lambda body: '"version":3' in body)  # type: ignore[method-assign,assignment]
            sender = SqsHistorySender(api=api)
            outcomes = await asyncio.gather(
                *(sender.send(record(number)) for number in range(6)), return_exceptions=True
            )
        assert [isinstance(outcome, UnavailableError) for outcome in outcomes] == [
            number == 3 for number in range(6)
        ]
        assert "InternalError" in str(outcomes[3])

    async def test_sends_the_others_when_one_message_makes_sqs_refuse_the_batch(self) -> None:
        async def call(_operation: str, *, Entries: list[dict[str, str]]) -> dict[str, object]:  # noqa: N803
            if any('"version":3' in entry["MessageBody"] for entry in Entries):
                raise PermanentRefusalError("InvalidMessageContents")
            return {}

        async with sqs_api("http://127.0.0.1:1/0/history.fifo") as api:
            api.call = call  # type: ignore[method-assign,assignment]
            sender = SqsHistorySender(api=api)
            outcomes = await asyncio.gather(
                *(sender.send(record(number)) for number in range(6)), return_exceptions=True
            )
        assert [isinstance(outcome, PermanentRefusalError) for outcome in outcomes] == [
            number == 3 for number in range(6)
        ]


def failing(wrong: Callable[[str], bool]) -> Callable[..., object]:
    async def call(operation: str, *, Entries: list[dict[str, str]]) -> dict[str, object]:  # noqa: N803
        assert operation == "SendMessageBatch"
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
            for entry in Entries
            if wrong(json.dumps(json.loads(entry["MessageBody"]), separators=(",", ":")))
        ]
        return {"Failed": failed}

    return call
