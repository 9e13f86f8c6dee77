import json
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from axon.catalog import JOBS

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


@pytest.mark.parametrize("turn", [1, 2])
def test_fixture_gives_each_test_an_empty_valkey(valkey_url: str, turn: int) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("key", turn)


@pytest.mark.parametrize("turn", [1, 2])
def test_fixture_gives_each_test_its_own_database(postgres_dsn: str, turn: int) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE only_once (turn int)")


def test_fixture_queue_moves_jobs_to_the_dead_letter_queue(
    sqs_client: "SQSClient", jobs_queue_url: str, jobs_dead_queue_url: str
) -> None:
    sqs_client.send_message(QueueUrl=jobs_queue_url, MessageBody="poison")
    for _ in range(JOBS.max_receives):
        received = sqs_client.receive_message(QueueUrl=jobs_queue_url)
        handle = received["Messages"][0]["ReceiptHandle"]
        sqs_client.change_message_visibility(
            QueueUrl=jobs_queue_url, ReceiptHandle=handle, VisibilityTimeout=0
        )
    assert "Messages" not in sqs_client.receive_message(QueueUrl=jobs_queue_url)
    dead = sqs_client.receive_message(QueueUrl=jobs_dead_queue_url)
    assert dead["Messages"][0]["Body"] == "poison"


def test_fixture_queue_keeps_the_order_of_a_message_group(
    sqs_client: "SQSClient", history_queue_url: str
) -> None:
    for number in range(3):
        sqs_client.send_message(
            QueueUrl=history_queue_url,
            MessageBody=json.dumps(number),
            MessageGroupId="conversation",
            MessageDeduplicationId=str(number),
        )
    bodies = []
    for _ in range(3):
        (message,) = sqs_client.receive_message(QueueUrl=history_queue_url)["Messages"]
        bodies.append(json.loads(message["Body"]))
        sqs_client.delete_message(
            QueueUrl=history_queue_url, ReceiptHandle=message["ReceiptHandle"]
        )
    assert bodies == [0, 1, 2]
