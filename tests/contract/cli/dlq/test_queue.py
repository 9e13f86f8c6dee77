"""Dead-letter queues on the stand-ins for SQS: fauxqs, fauxqs with its file, and moto."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from axon import catalog
from cli.dlq.message import DeadLetter
from cli.dlq.queue import DeadLetterQueue
from local.services.queues import HISTORY, HISTORY_DEAD, JOBS, JOBS_PARKED, REGION, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


@dataclass(frozen=True, kw_only=True)
class DlqHarness:
    """Both dead-letter queues and the queues they belong to; `urls` by the catalog's names."""

    client: "SQSClient"
    urls: dict[str, str]

    def queue(self, definition: catalog.Queue) -> DeadLetterQueue:
        return DeadLetterQueue(
            client=self.client, definition=definition, url_of=self.urls.__getitem__, wait_s=0
        )

    @property
    def jobs(self) -> DeadLetterQueue:
        return self.queue(catalog.JOBS)

    @property
    def history(self) -> DeadLetterQueue:
        return self.queue(catalog.HISTORY)

    def park(self, body: str, *, message_id: str = "", **attributes: str) -> str:
        """Send a dead letter of jobs, as `functions/dead_letter` does; return its id."""
        given = attributes | ({"message_id": message_id} if message_id else {})
        sent = self.client.send_message(
            QueueUrl=self.urls[catalog.JOBS.operator_queue],
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in given.items()
            },
        )
        return message_id or sent["MessageId"]

    def send_dead_history(self, body: str, *, group: str = "conv", key: str = "") -> str:
        """Send a dead letter of history; return its id."""
        sent = self.client.send_message(
            QueueUrl=self.urls[catalog.HISTORY.operator_queue],
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=key or body,
        )
        return sent["MessageId"]

    def take(self, definition: catalog.Queue) -> list[dict[str, Any]]:
        """Take all messages out of a queue."""
        url, taken = self.urls[definition.name], []
        while messages := self.client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(dict(message))
        return taken

    def bodies(self, definition: catalog.Queue) -> list[str]:
        return [message["Body"] for message in self.take(definition)]


@pytest.fixture
def fauxqs_dlq(make_queue: Callable[..., str], sqs_client: "SQSClient") -> DlqHarness:
    queues = {
        queue.name: make_queue(Queue(name=queue.name, visibility_s=30))
        for queue in (JOBS, JOBS_PARKED, HISTORY, HISTORY_DEAD)
    }
    return DlqHarness(client=sqs_client, urls=queues)


@pytest.fixture
def moto() -> Iterator[DlqHarness]:
    with mock_aws():
        client = boto3.client("sqs", region_name=REGION)
        queues = {}
        for queue in (JOBS, JOBS_PARKED, HISTORY, HISTORY_DEAD):
            attributes = Queue(name=queue.name, visibility_s=30).attributes()
            made = client.create_queue(QueueName=queue.name, Attributes=attributes)
            queues[queue.name] = made["QueueUrl"]
        yield DlqHarness(client=client, urls=queues)
        client.close()


@pytest.fixture(params=["fauxqs", "fauxqs_file", "moto"])
def dlq(request: pytest.FixtureRequest) -> DlqHarness:
    name = "moto" if request.param == "moto" else "fauxqs_dlq"
    made: DlqHarness = request.getfixturevalue(name)
    return made


def peeked(queue: DeadLetterQueue, limit: int = 100) -> list[DeadLetter]:
    with queue.peek(limit) as letters:
        return letters


class TestPeek:
    def test_is_empty_without_dead_letters(self, dlq: DlqHarness) -> None:
        assert peeked(dlq.jobs) == peeked(dlq.history) == []
        assert dlq.jobs.count() == dlq.history.count() == 0
        assert list(dlq.jobs.receive_all()) == []

    def test_leaves_every_dead_letter_in_the_queue(self, dlq: DlqHarness) -> None:
        sent = {dlq.park(f"letter {number}") for number in range(25)}
        for _ in range(3):
            letters = peeked(dlq.jobs)
            assert {letter.message_id for letter in letters} == sent
            assert len(letters) == 25
        assert dlq.jobs.count() == 25

    def test_returns_at_most_the_limit(self, dlq: DlqHarness) -> None:
        for number in range(25):
            dlq.park(f"letter {number}")
        assert len(peeked(dlq.jobs, limit=12)) == 12
        assert dlq.jobs.count() == 25

    def test_does_not_see_what_another_holds(self, dlq: DlqHarness) -> None:
        for number in range(3):
            dlq.park(f"letter {number}")
        with dlq.jobs.peek(2) as first, dlq.jobs.peek(100) as second:
            assert (len(first), len(second)) == (2, 1)
            assert dlq.jobs.count() == 3
        assert len(peeked(dlq.jobs)) == 3

    def test_releases_after_an_error(self, dlq: DlqHarness) -> None:
        dlq.park("letter")
        with pytest.raises(KeyboardInterrupt), dlq.jobs.peek(10):
            raise KeyboardInterrupt
        assert len(peeked(dlq.jobs)) == 1

    def test_says_that_it_could_not_release(
        self,
        fauxqs_dlq: DlqHarness,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def refuse(**_: object) -> None:
            raise ClientError({"Error": {"Code": "500", "Message": "broken"}}, "Change")

        fauxqs_dlq.park("letter")
        monkeypatch.setattr(fauxqs_dlq.client, "change_message_visibility_batch", refuse)
        assert len(peeked(fauxqs_dlq.jobs)) == 1
        assert "dead letters of jobs are hidden for up to 60 s" in capsys.readouterr().err

    def test_sees_at_least_the_first_of_a_message_group(self, dlq: DlqHarness) -> None:
        for number in range(12):
            dlq.send_dead_history(f"a{number}", group="a")
        dlq.send_dead_history("b0", group="b")
        for _ in range(2):
            bodies = [letter.body for letter in peeked(dlq.history)]
            of_a = [body for body in bodies if body.startswith("a")]
            assert of_a == [f"a{number}" for number in range(len(of_a))]
            assert of_a
            assert "b0" in bodies
        assert dlq.history.count() == 13

    def test_joins_the_copies_of_a_message(self, dlq: DlqHarness) -> None:
        for _ in range(2):
            dlq.park("letter", message_id="first")
        dlq.park("letter", message_id="other")
        letters = {letter.message_id: letter for letter in peeked(dlq.jobs)}
        assert {name: len(each.receipt_handles) for name, each in letters.items()} == {
            "first": 2,
            "other": 1,
        }


class TestRedrive:
    def test_sends_a_job_unchanged(self, dlq: DlqHarness) -> None:
        body = '{"tenant_id": "acme", "input": "wörld \\ud83c\\udf0d \\u0000"}'
        dlq.park(body, why="failed repeatedly")
        with dlq.jobs.peek(10) as (letter,):
            dlq.jobs.redrive(letter)
        (message,) = dlq.take(catalog.JOBS)
        assert message["Body"] == body
        assert "MessageAttributes" not in message
        assert dlq.jobs.count() == 0

    def test_keeps_the_order_of_a_message_group(self, dlq: DlqHarness) -> None:
        for number in range(25):
            dlq.send_dead_history(f"a{number}", group="a")
            dlq.send_dead_history(f"b{number}", group="b")
        for letter in dlq.history.receive_all():
            dlq.history.redrive(letter)
        assert dlq.history.count() == 0
        messages = dlq.take(catalog.HISTORY)
        for group in "ab":
            bodies = [
                message["Body"]
                for message in messages
                if message["Attributes"]["MessageGroupId"] == group
            ]
            assert bodies == [f"{group}{number}" for number in range(25)]

    def test_is_not_dropped_as_a_duplicate_of_the_first_sending(self, dlq: DlqHarness) -> None:
        """The deduplication id of its first sending would make SQS drop it."""
        dlq.client.send_message(
            QueueUrl=dlq.urls[catalog.HISTORY.name],
            MessageBody="record",
            MessageGroupId="conv",
            MessageDeduplicationId="key",
        )
        assert dlq.bodies(catalog.HISTORY) == ["record"]
        for key in ("key", "later"):
            dlq.send_dead_history("record", key=key)
            with dlq.history.peek(10) as (letter,):
                dlq.history.redrive(letter)
            assert dlq.bodies(catalog.HISTORY) == ["record"]

    def test_sends_history_once_after_a_crash_before_the_deletion(self, dlq: DlqHarness) -> None:
        dlq.send_dead_history("record")
        with dlq.history.peek(10) as (letter,):
            receipts = list(letter.receipt_handles)
            letter.receipt_handles.clear()
            dlq.history.redrive(letter)
            letter.receipt_handles.extend(receipts)
        with dlq.history.peek(10) as (letter,):
            dlq.history.redrive(letter)
        assert dlq.bodies(catalog.HISTORY) == ["record"]
        assert dlq.history.count() == 0

    def test_sends_copies_once(self, dlq: DlqHarness) -> None:
        for number in range(15):
            for _ in range(2):
                dlq.park(f"letter {number}", message_id=f"message-{number}")
        for letter in dlq.jobs.receive_all():
            dlq.jobs.redrive(letter)
        assert dlq.jobs.count() == 0
        assert Counter(dlq.bodies(catalog.JOBS)) == {f"letter {n}": 1 for n in range(15)}

    def test_leaves_the_rest_when_it_stops_in_the_middle(self, dlq: DlqHarness) -> None:
        for number in range(12):
            dlq.park(f"letter {number}")
        with closing(dlq.jobs.receive_all()) as letters:
            for letter in islice(letters, 5):
                dlq.jobs.redrive(letter)
        assert len(peeked(dlq.jobs)) == 7
        assert len(dlq.bodies(catalog.JOBS)) == 5

    @pytest.mark.parametrize("name", ["jobs", "history"])
    def test_sends_each_once_from_concurrent_commands(
        self, fauxqs_dlq: DlqHarness, name: str
    ) -> None:
        definition = {"jobs": catalog.JOBS, "history": catalog.HISTORY}[name]
        for number in range(60):
            if name == "jobs":
                fauxqs_dlq.park(f"letter {number}")
            else:
                fauxqs_dlq.send_dead_history(f"letter {number}", group=str(number % 7))
        counts: list[int] = []

        def redrive() -> None:
            queue, count = fauxqs_dlq.queue(definition), 0
            for letter in queue.receive_all():
                queue.redrive(letter)
                count += 1
            counts.append(count)

        threads = [threading.Thread(target=redrive) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # One may leave while the others hold the last ones; nobody sends one that another holds.
        redrive()
        assert sum(counts) == 60
        assert Counter(fauxqs_dlq.bodies(definition)) == {f"letter {n}": 1 for n in range(60)}
        assert fauxqs_dlq.queue(definition).count() == 0


class TestDelete:
    def test_removes_one_with_its_copies(self, dlq: DlqHarness) -> None:
        for name in ("first", "first", "other"):
            dlq.park("letter", message_id=name)
        with dlq.jobs.peek(10) as letters:
            dlq.jobs.delete(next(letter for letter in letters if letter.message_id == "first"))
        assert [letter.message_id for letter in peeked(dlq.jobs)] == ["other"]

    def test_removes_all(self, dlq: DlqHarness) -> None:
        for number in range(25):
            dlq.send_dead_history(f"a{number}", group="a")
        for letter in dlq.history.receive_all():
            dlq.history.delete(letter)
        assert dlq.history.count() == 0
        assert dlq.bodies(catalog.HISTORY) == []
