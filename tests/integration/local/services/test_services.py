import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
import redis

from local.errors import LocalCloudError
from local.ports import LOOPBACK, Ports
from local.services.fauxqs import Fauxqs
from local.services.postgres import Postgres
from local.services.queues import JOBS, JOBS_DEAD, QUEUES, REGION, queue_url
from local.services.valkey import Valkey
from local.supervision.child import Child
from local.supervision.program import Program

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

Start = Callable[[Program], Child]


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as ports:
        yield ports


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(program: Program) -> Child:
            child = Child(program, owner=str(tmp_path), log=tmp_path / f"{program.name}.log")
            stack.callback(child.kill)
            child.wait_until_ready()
            return child

        yield start


def sqs(fauxqs: Fauxqs) -> "SQSClient":
    return boto3.client("sqs", endpoint_url=fauxqs.endpoint, region_name=REGION)


def test_valkey_keeps_its_data_when_it_is_killed(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    valkey = Valkey(port=ports.reserve(), folder=tmp_path / "valkey", persistent=True)
    child = start(valkey.program())
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
        client.execute_command("WAITAOF", 1, 0, 5000)
    child.kill()
    start(valkey.program())
    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("key") == b"value"
        assert client.config_get("save") == {"save": ""}


def test_valkey_loses_its_data_when_it_is_ephemeral(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    valkey = Valkey(port=ports.reserve(), folder=tmp_path / "valkey", persistent=False)
    child = start(valkey.program())
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
    child.stop()
    start(valkey.program())
    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("key") is None


def test_postgres_keeps_commits_when_it_is_killed(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    postgres = Postgres(port=ports.reserve(), folder=tmp_path / "postgres", persistent=True)
    child = start(postgres.program())
    with psycopg.connect(postgres.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    child.kill()
    again = Postgres(port=ports.reserve(), folder=tmp_path / "postgres", persistent=True)
    start(again.program())
    with psycopg.connect(again.dsn()) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (1,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_postgres_requires_the_password(tmp_path: Path, ports: Ports, start: Start) -> None:
    postgres = Postgres(port=ports.reserve(), folder=tmp_path / "postgres", persistent=False)
    start(postgres.program())
    assert (tmp_path / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://axon:wrong@{LOOPBACK}:{postgres.port}/axon")


def test_postgres_starts_despite_the_lock_file_of_a_dead_server(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    """After a restart of the machine the dead server's process id may be anybody's."""
    postgres = Postgres(port=ports.reserve(), folder=tmp_path / "postgres", persistent=False)
    child = start(postgres.program())
    lock = postgres.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    child.stop()
    lock.write_text("\n".join(["1", *lines[1:]]) + "\n")
    start(postgres.program())


def test_postgres_makes_incomplete_data_again(tmp_path: Path, ports: Ports, start: Start) -> None:
    postgres = Postgres(port=ports.reserve(), folder=tmp_path / "postgres", persistent=False)
    (postgres.folder / "data.new").mkdir(parents=True)
    (postgres.folder / "data.new" / "PG_VERSION").touch()
    start(postgres.program())
    with psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_fauxqs_keeps_messages_when_it_is_killed(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    fauxqs = Fauxqs(port=ports.reserve(), folder=tmp_path / "fauxqs", persistent=True)
    child = start(fauxqs.program())
    client = sqs(fauxqs)
    client.send_message(QueueUrl=queue_url(fauxqs.endpoint, JOBS), MessageBody="job")
    client.close()
    child.kill()
    # On another port: queue URLs are where the server is now.
    again = Fauxqs(port=ports.reserve(), folder=tmp_path / "fauxqs", persistent=True)
    start(again.program())
    client = sqs(again)
    received = client.receive_message(QueueUrl=queue_url(again.endpoint, JOBS))
    assert received["Messages"][0]["Body"] == "job"
    client.close()


def test_fauxqs_keeps_the_state_of_messages_when_it_is_killed(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    """Released, in flight and dead: each as before, with its receive count."""
    fauxqs = Fauxqs(port=ports.reserve(), folder=tmp_path / "fauxqs", persistent=True)
    child = start(fauxqs.program())
    jobs, dead = (queue_url(fauxqs.endpoint, queue) for queue in (JOBS, JOBS_DEAD))
    with closing(sqs(fauxqs)) as client:
        for body, receives in (("dead", JOBS.max_receives), ("held", 0), ("released", 2)):
            client.send_message(QueueUrl=jobs, MessageBody=body)
            for _ in range(receives):
                (message,) = received(client, jobs)
                assert message["Body"] == body
                release(client, jobs, message)
            if body != "released":
                received(client, jobs, count=1)
    child.kill()
    start(fauxqs.program())
    with closing(sqs(fauxqs)) as client:
        (message,) = received(client, jobs)
        assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == (
            "released",
            "3",
        )
        assert not received(client, jobs)
        assert [message["Body"] for message in received(client, dead)] == ["dead"]


def received(client: "SQSClient", url: str, *, count: int = 10) -> "list[MessageTypeDef]":
    answer = client.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=count,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    return answer.get("Messages", [])


def release(client: "SQSClient", url: str, message: "MessageTypeDef") -> None:
    client.change_message_visibility(
        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )


def test_fauxqs_has_the_queues_and_stops_cleanly(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    fauxqs = Fauxqs(port=ports.reserve(), folder=tmp_path / "fauxqs", persistent=False)
    child = start(fauxqs.program())
    client = sqs(fauxqs)
    urls = client.list_queues()["QueueUrls"]
    assert sorted(urls) == sorted(queue_url(fauxqs.endpoint, queue) for queue in QUEUES)
    attributes = client.get_queue_attributes(
        QueueUrl=queue_url(fauxqs.endpoint, JOBS), AttributeNames=["All"]
    )["Attributes"]
    assert attributes.items() >= JOBS.attributes().items()
    client.close()
    child.stop()
    assert not list((tmp_path / "fauxqs").iterdir())


def test_server_that_cannot_start_says_why(tmp_path: Path, start: Start) -> None:
    valkey = Valkey(port=70_000, folder=tmp_path / "valkey", persistent=False)
    with pytest.raises(LocalCloudError, match="valkey did not start: argument must be between"):
        start(valkey.program())


def test_server_refuses_a_folder_that_cannot_be_made(tmp_path: Path, start: Start) -> None:
    (tmp_path / "file").touch()
    valkey = Valkey(port=1, folder=tmp_path / "file" / "valkey", persistent=False)
    with pytest.raises(LocalCloudError, match=r"valkey cannot be prepared: .*Not a directory"):
        start(valkey.program())


def test_fauxqs_gives_no_message_to_a_receiver_that_is_gone(
    tmp_path: Path, ports: Ports, start: Start
) -> None:
    fauxqs = Fauxqs(port=ports.reserve(), folder=tmp_path / "fauxqs", persistent=False)
    start(fauxqs.program())
    client = sqs(fauxqs)
    url = queue_url(fauxqs.endpoint, JOBS)
    with socket.create_connection((LOOPBACK, fauxqs.port)) as receiver:
        body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
        receiver.sendall(
            b"POST / HTTP/1.1\r\nHost: local\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
            b"Content-Type: application/x-amz-json-1.0\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        client.list_queues()  # once answered, the poll that came before has begun
    client.list_queues()  # and its end has been noticed
    client.send_message(QueueUrl=url, MessageBody="job")
    received = client.receive_message(QueueUrl=url, WaitTimeSeconds=2)
    assert received["Messages"][0]["Body"] == "job"
    client.close()
