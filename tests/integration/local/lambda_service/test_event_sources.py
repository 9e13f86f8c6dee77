"""Event source mappings against real SQS semantics."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_sqs.client import SQSClient

from local.services.queues import Queue
from tests.integration.local.service_harness import ServiceHarness, running
from tests.support.eventually import wait_until

# Records every message it gets, then does what the messages' bodies ask for.
HANDLER = """
    import json, os

    def handler(event, context):
        with open(os.environ["NOTE"], "a") as file:
            file.write(json.dumps(event) + "\\n")
        bodies = [json.loads(record["body"]) for record in event["Records"]]
        if any(body.get("raise") for body in bodies):
            raise ValueError("no")
        for body in bodies:
            if "answer" in body:
                return body["answer"]
        failures = [
            {"itemIdentifier": record["messageId"]}
            for record, body in zip(event["Records"], bodies)
            if body.get("fail", 0) >= int(record["attributes"]["ApproximateReceiveCount"])
        ]
        return {"batchItemFailures": failures}
"""

Write = Callable[[str], Path]
MakeQueue = Callable[..., str]


def arn_of(queue_url: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{queue_url.rsplit('/', 1)[1]}"


class Consumer:
    """A service with mappings to one function, and the events that it got."""

    def __init__(self, service: ServiceHarness, note: Path) -> None:
        self.service = service
        self._note = note

    def events(self) -> list[dict[str, Any]]:
        if not self._note.exists():
            return []
        return [json.loads(line) for line in self._note.read_text().splitlines()]

    def second_event_of(self, queue_url: str) -> dict[str, Any]:
        arn = arn_of(queue_url)

        def others() -> list[dict[str, Any]]:
            events = self.events()
            return [e for e in events if e["Records"][0]["eventSourceARN"] == arn][1:]

        return wait_until(others)[0]

    def bodies(self) -> list[dict[str, Any]]:
        return [
            json.loads(record["body"]) for event in self.events() for record in event["Records"]
        ]


Consume = Callable[..., Any]


@pytest.fixture
def consume(write_function: Write, tmp_path: Path) -> Consume:
    folder = write_function(HANDLER)

    @contextmanager
    def consume(*queue_urls: str, **mapping: Any) -> Iterator[Consumer]:
        note = tmp_path / "note"
        environment = {"NOTE": str(note)}
        config = {
            "port": 0,
            "functions": {"f": {"folder": str(folder), "environment": environment}},
            "event_sources": [
                {"queue_url": queue_url, "function": "f", **mapping} for queue_url in queue_urls
            ],
        }
        with running("local.lambda_service", config, tmp_path / "service") as service:
            yield Consumer(service, note)

    return consume


@pytest.fixture
def queue_url(make_queue: MakeQueue) -> str:
    return make_queue(Queue(name="events", visibility_s=1))


@pytest.fixture
def fifo_url(make_queue: MakeQueue) -> str:
    return make_queue(Queue(name="events.fifo", visibility_s=1))


def is_empty(sqs: SQSClient, queue_url: str) -> bool:
    counts = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    visible = counts["ApproximateNumberOfMessages"]
    return (visible, counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_event_source_sends_the_event_of_lambda(
    sqs_client: SQSClient, queue_url: str, consume: Consume
) -> None:
    sent = sqs_client.send_message(
        QueueUrl=queue_url,
        MessageBody='{"n": 1}',
        MessageAttributes={
            "word": {"DataType": "String", "StringValue": "ä"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )
    with consume(queue_url) as consumer:
        wait_until(consumer.events)
        wait_until(lambda: is_empty(sqs_client, queue_url))
        [[record]] = [event["Records"] for event in consumer.events()]
    assert record.pop("receiptHandle")
    attributes = record.pop("attributes")
    assert attributes["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= attributes.keys()
    assert record == {
        "messageId": sent["MessageId"],
        "body": '{"n": 1}',
        "messageAttributes": {
            "word": {
                "stringValue": "ä",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "bytes": {
                "binaryValue": "AP8=",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
            },
        },
        "md5OfBody": sent["MD5OfMessageBody"],
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn_of(queue_url),
        "awsRegion": "us-east-1",
    }


def test_event_source_delivers_during_a_poll_and_stops_at_once(
    sqs_client: SQSClient, queue_url: str, consume: Consume
) -> None:
    with consume(queue_url) as consumer:
        wait_until(lambda: wait_for_poll(sqs_client, queue_url, consumer))
        started = time.monotonic()
        assert consumer.service.stop() == 0
        assert time.monotonic() - started < 3


def wait_for_poll(sqs: SQSClient, queue_url: str, consumer: Consumer) -> bool:
    sqs.send_message(QueueUrl=queue_url, MessageBody="{}")
    wait_until(lambda: is_empty(sqs, queue_url))
    return bool(consumer.events())


def test_event_source_leaves_the_failed_messages_only(
    sqs_client: SQSClient, queue_url: str, consume: Consume
) -> None:
    bodies = [{"n": 0}, {"n": 1, "fail": 1}, {"n": 2}]
    entries = [{"Id": str(n), "MessageBody": json.dumps(body)} for n, body in enumerate(bodies)]
    sqs_client.send_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]
    with consume(queue_url) as consumer:
        wait_until(lambda: is_empty(sqs_client, queue_url))
        first, *others = consumer.bodies()
        assert sorted(body["n"] for body in [first, *others]) == [0, 1, 1, 2]
        assert consumer.bodies()[-1]["n"] == 1
        assert "1 messages left" in consumer.service.log.read_text()


def test_event_source_leaves_all_messages_after_an_error(
    sqs_client: SQSClient, make_queue: MakeQueue, consume: Consume
) -> None:
    troubles: list[dict[str, Any]] = [
        {"raise": True},
        {"answer": "not an object"},
        {"answer": {"batchItemFailures": [{"itemIdentifier": ""}]}},
        {"answer": {"batchItemFailures": [{"itemIdentifier": "of another batch"}]}},
    ]
    queues = [make_queue(Queue(name="trouble", visibility_s=1)) for _ in troubles]
    for queue_url, trouble in zip(queues, troubles, strict=True):
        for body in ({"n": 1}, {"n": 2, **trouble}):
            sqs_client.send_message(QueueUrl=queue_url, MessageBody=json.dumps(body))
    with consume(*queues) as consumer:
        for queue_url in queues:
            assert consumer.second_event_of(queue_url)["Records"][1:]
    assert not any(is_empty(sqs_client, queue_url) for queue_url in queues)


def test_event_source_without_reports_ignores_the_answer(
    sqs_client: SQSClient, queue_url: str, consume: Consume
) -> None:
    sqs_client.send_message(QueueUrl=queue_url, MessageBody='{"fail": 9}')
    with consume(queue_url, report_batch_item_failures=False) as consumer:
        wait_until(consumer.events)
        wait_until(lambda: is_empty(sqs_client, queue_url))


def test_event_source_keeps_the_order_of_a_message_group(
    sqs_client: SQSClient, fifo_url: str, consume: Consume
) -> None:
    for n in range(20):
        sqs_client.send_message(
            QueueUrl=fifo_url,
            MessageBody=json.dumps({"n": n}),
            MessageGroupId=f"group-{n % 2}",
            MessageDeduplicationId=str(n),
        )
    with consume(fifo_url, concurrency=3, batch_size=4) as consumer:
        wait_until(lambda: is_empty(sqs_client, fifo_url))
        numbers = [body["n"] for body in consumer.bodies()]
        groups = {
            record["attributes"]["MessageGroupId"]
            for event in consumer.events()
            for record in event["Records"]
        }
    assert [n for n in numbers if n % 2 == 0] == list(range(0, 20, 2))
    assert [n for n in numbers if n % 2 == 1] == list(range(1, 20, 2))
    assert groups == {"group-0", "group-1"}


def test_event_source_holds_back_only_the_group_of_a_failed_message(
    sqs_client: SQSClient, fifo_url: str, consume: Consume
) -> None:
    for n, (group, body) in enumerate(
        [("a", {"n": 0, "fail": 1}), ("a", {"n": 1}), ("b", {"n": 2})]
    ):
        sqs_client.send_message(
            QueueUrl=fifo_url,
            MessageBody=json.dumps(body),
            MessageGroupId=group,
            MessageDeduplicationId=str(n),
        )
    with consume(fifo_url) as consumer:
        wait_until(lambda: is_empty(sqs_client, fifo_url))
        numbers = [body["n"] for body in consumer.bodies()]
    assert numbers.index(2) < len(numbers) - 1 - numbers[::-1].index(0)
    assert [n for n in numbers if n != 2] == [0, 0, 1]


def test_event_source_waits_for_its_queue_to_exist(
    sqs_client: SQSClient, queue_url: str, consume: Consume
) -> None:
    later = f"{queue_url}-later"
    with consume(later) as consumer:
        wait_until(lambda: "QueueDoesNotExist" in consumer.service.log.read_text())
        sqs_client.create_queue(QueueName=later.rsplit("/", 1)[1])
        sqs_client.send_message(QueueUrl=later, MessageBody="{}")
        wait_until(consumer.events)
        assert consumer.service.log.read_text().count("QueueDoesNotExist") == 1
    sqs_client.delete_queue(QueueUrl=later)


def test_event_source_survives_an_outage_of_sqs(queue_url: str, consume: Consume) -> None:
    with consume("http://127.0.0.1:9/000000000000/nobody") as consumer:
        wait_until(lambda: "Connection refused" in consumer.service.log.read_text())
        started = time.monotonic()
        assert consumer.service.stop() == 0
        assert time.monotonic() - started < 3
