"""The operator's letter boxes on the stand-ins for SQS: fauxqs, and moto."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from axon import catalog
from cli.dlq.message import DeadLetter
from cli.dlq.queue import DeadLetterQueue
from local.services.queues import HISTORY, HISTORY_DEAD, JOBS, JOBS_PARKED, REGION, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Both letter boxes and the queues behind them; `urls` by the catalog's names."""

    client: "SQSClient"
    urls: dict[str, str]

    def box(self, definition: catalog.Queue) -> DeadLetterQueue:
        return DeadLetterQueue(
            client=self.client, definition=definition, url_of=self.urls.__getitem__, wait_s=0
        )

    @property
    def jobs(self) -> DeadLetterQueue:
        return self.box(catalog.JOBS)

    @property
    def history(self) -> DeadLetterQueue:
        return self.box(catalog.HISTORY)

    def park(self, body: str, *, message_id: str = "", **attributes: str) -> str:
        """Put a letter where `functions/dead_letter` does; return its id."""
        given = attributes | ({"message_id": message_id} if message_id else {})
        sent = self.client.send_message(
            QueueUrl=self.urls[catalog.JOBS.operator_queue],
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in given.items()
            },
        )
        return message_id or sent["MessageId"]

    def bury(self, body: str, *, group: str = "conv", key: str = "") -> str:
        """Put a letter among those of history; return its id."""
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
def fauxqs(make_queue: Callable[..., str], sqs_client: "SQSClient") -> Bench:
    queues = {
        queue.name: make_queue(Queue(name=queue.name, visibility_s=30))
        for queue in (JOBS, JOBS_PARKED, HISTORY, HISTORY_DEAD)
    }
    return Bench(client=sqs_client, urls=queues)


@pytest.fixture
def moto() -> Iterator[Bench]:
    with mock_aws():
        client = boto3.client("sqs", region_name=REGION)
        queues = {}
        for queue in (JOBS, JOBS_PARKED, HISTORY, HISTORY_DEAD):
            attributes = Queue(name=queue.name, visibility_s=30).attributes()
            made = client.create_queue(QueueName=queue.name, Attributes=attributes)
            queues[queue.name] = made["QueueUrl"]
        yield Bench(client=client, urls=queues)
        client.close()


@pytest.fixture(params=["fauxqs", "moto"])
def bench(request: pytest.FixtureRequest) -> Bench:
    made: Bench = request.getfixturevalue(request.param)
    return made


def held(box: DeadLetterQueue, limit: int = 100) -> list[DeadLetter]:
    with box.hold(limit) as letters:
        return letters


class TestLooking:
    def test_there_are_none(self, bench: Bench) -> None:
        assert held(bench.jobs) == held(bench.history) == []
        assert bench.jobs.count() == bench.history.count() == 0
        assert list(bench.jobs.each()) == []

    def test_as_often_as_one_likes_and_nothing_is_gone(self, bench: Bench) -> None:
        sent = {bench.park(f"letter {number}") for number in range(25)}
        for _ in range(3):
            letters = held(bench.jobs)
            assert {letter.id for letter in letters} == sent
            assert len(letters) == 25
        assert bench.jobs.count() == 25

    def test_no_more_than_asked_for(self, bench: Bench) -> None:
        for number in range(25):
            bench.park(f"letter {number}")
        assert len(held(bench.jobs, limit=12)) == 12
        assert bench.jobs.count() == 25

    def test_what_somebody_holds_is_counted_and_not_seen(self, bench: Bench) -> None:
        for number in range(3):
            bench.park(f"letter {number}")
        with bench.jobs.hold(2) as first, bench.jobs.hold(100) as second:
            assert (len(first), len(second)) == (2, 1)
            assert bench.jobs.count() == 3
        assert len(held(bench.jobs)) == 3

    def test_given_back_when_something_goes_wrong(self, bench: Bench) -> None:
        bench.park("letter")
        with pytest.raises(KeyboardInterrupt), bench.jobs.hold(10):
            raise KeyboardInterrupt
        assert len(held(bench.jobs)) == 1

    def test_of_a_conversation_at_least_the_first(self, bench: Bench) -> None:
        for number in range(12):
            bench.bury(f"a{number}", group="a")
        bench.bury("b0", group="b")
        for _ in range(2):
            bodies = [letter.body for letter in held(bench.history)]
            of_a = [body for body in bodies if body.startswith("a")]
            assert of_a == [f"a{number}" for number in range(len(of_a))]
            assert of_a
            assert "b0" in bodies
        assert bench.history.count() == 13

    def test_what_was_parked_twice_is_one_letter(self, bench: Bench) -> None:
        for _ in range(2):
            bench.park("letter", message_id="first")
        bench.park("letter", message_id="other")
        letters = {letter.id: letter for letter in held(bench.jobs)}
        assert {name: len(each.receipts) for name, each in letters.items()} == {
            "first": 2,
            "other": 1,
        }


class TestSendingBack:
    def test_a_job_goes_as_it_came(self, bench: Bench) -> None:
        body = '{"tenant_id": "acme", "input": "wörld \\ud83c\\udf0d \\u0000"}'
        bench.park(body, why="failed repeatedly")
        with bench.jobs.hold(10) as (letter,):
            bench.jobs.send_back(letter)
        (message,) = bench.take(catalog.JOBS)
        assert message["Body"] == body
        assert "MessageAttributes" not in message
        assert bench.jobs.count() == 0

    def test_a_conversation_goes_in_its_order(self, bench: Bench) -> None:
        for number in range(25):
            bench.bury(f"a{number}", group="a")
            bench.bury(f"b{number}", group="b")
        for letter in bench.history.each():
            bench.history.send_back(letter)
        assert bench.history.count() == 0
        messages = bench.take(catalog.HISTORY)
        for group in "ab":
            bodies = [
                message["Body"]
                for message in messages
                if message["Attributes"]["MessageGroupId"] == group
            ]
            assert bodies == [f"{group}{number}" for number in range(25)]

    def test_history_may_be_sent_again_though_it_was_just_sent(self, bench: Bench) -> None:
        """As by the deduplication of its first sending it could not."""
        bench.client.send_message(
            QueueUrl=bench.urls[catalog.HISTORY.name],
            MessageBody="record",
            MessageGroupId="conv",
            MessageDeduplicationId="key",
        )
        assert bench.bodies(catalog.HISTORY) == ["record"]
        for key in ("key", "later"):
            bench.bury("record", key=key)
            with bench.history.hold(10) as (letter,):
                bench.history.send_back(letter)
            assert bench.bodies(catalog.HISTORY) == ["record"]

    def test_after_a_crash_before_the_deletion_history_is_sent_once(self, bench: Bench) -> None:
        bench.bury("record")
        with bench.history.hold(10) as (letter,):
            receipts = list(letter.receipts)
            letter.receipts.clear()
            bench.history.send_back(letter)
            letter.receipts.extend(receipts)
        with bench.history.hold(10) as (letter,):
            bench.history.send_back(letter)
        assert bench.bodies(catalog.HISTORY) == ["record"]
        assert bench.history.count() == 0

    def test_copies_go_as_one(self, bench: Bench) -> None:
        for number in range(15):
            for _ in range(2):
                bench.park(f"letter {number}", message_id=f"message-{number}")
        for letter in bench.jobs.each():
            bench.jobs.send_back(letter)
        assert bench.jobs.count() == 0
        assert Counter(bench.bodies(catalog.JOBS)) == {f"letter {n}": 1 for n in range(15)}

    def test_what_fails_in_the_middle_leaves_the_rest(self, bench: Bench) -> None:
        for number in range(12):
            bench.park(f"letter {number}")
        with closing(bench.jobs.each()) as letters:
            for letter in islice(letters, 5):
                bench.jobs.send_back(letter)
        assert len(held(bench.jobs)) == 7
        assert len(bench.bodies(catalog.JOBS)) == 5

    @pytest.mark.parametrize("name", ["jobs", "history"])
    def test_by_several_at_a_time_each_letter_goes_once(self, fauxqs: Bench, name: str) -> None:
        definition = {"jobs": catalog.JOBS, "history": catalog.HISTORY}[name]
        for number in range(60):
            if name == "jobs":
                fauxqs.park(f"letter {number}")
            else:
                fauxqs.bury(f"letter {number}", group=str(number % 7))
        counts: list[int] = []

        def redrive() -> None:
            box, count = fauxqs.box(definition), 0
            for letter in box.each():
                box.send_back(letter)
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
        assert Counter(fauxqs.bodies(definition)) == {f"letter {n}": 1 for n in range(60)}
        assert fauxqs.box(definition).count() == 0


class TestDeleting:
    def test_one_with_its_copies(self, bench: Bench) -> None:
        for name in ("first", "first", "other"):
            bench.park("letter", message_id=name)
        with bench.jobs.hold(10) as letters:
            bench.jobs.delete(next(letter for letter in letters if letter.id == "first"))
        assert [letter.id for letter in held(bench.jobs)] == ["other"]

    def test_all(self, bench: Bench) -> None:
        for number in range(25):
            bench.bury(f"a{number}", group="a")
        for letter in bench.history.each():
            bench.history.delete(letter)
        assert bench.history.count() == 0
        assert bench.bodies(catalog.HISTORY) == []
