"""`axon dlq` on the queues of an environment on AWS, with fauxqs as SQS."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from axon import catalog
from axon.ids import new_id
from cli.dlq import location
from cli.main import main
from local.services.queues import QUEUES
from tests.unit.axon.samples import a_job

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

ENVIRONMENT = "dlqtest"


@dataclass(frozen=True)
class DlqHarness:
    """Runs the command; `urls` by the catalog's names."""

    capsys: pytest.CaptureFixture[str]
    client: "SQSClient"
    urls: dict[str, str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        code = main(["dlq", *arguments, "--env", ENVIRONMENT])
        output = self.capsys.readouterr()
        return code, output.out, output.err

    def done(self, *arguments: str) -> str:
        """Return the output of a command that must succeed."""
        code, output, error = self.run(*arguments)
        assert code == 0, error
        return output

    def ids(self) -> list[str]:
        """Return the ids of all dead letters."""
        return [letter["id"] for letter in json.loads(self.done("list", "--json"))["letters"]]

    def park(self, body: str, **attributes: str) -> str:
        """Send a dead letter of jobs; return its id."""
        sent = self.client.send_message(
            QueueUrl=self.urls["jobs-parked"],
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
        return attributes.get("message_id") or sent["MessageId"]

    def send_dead_history(self, body: str, *, group: str = "conv") -> str:
        """Send a dead letter of history; return its id."""
        return self.client.send_message(
            QueueUrl=self.urls["history-dlq.fifo"],
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=body,
        )["MessageId"]

    def bodies(self, queue: str) -> list[str]:
        """Take all messages out of a queue."""
        bodies = []
        while messages := self.client.receive_message(QueueUrl=self.urls[queue]).get("Messages"):
            for message in messages:
                self.client.delete_message(
                    QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"]
                )
                bodies.append(message["Body"])
        return bodies


@pytest.fixture
def dlq(
    sqs_endpoint: str,
    sqs_client: "SQSClient",
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DlqHarness]:
    monkeypatch.setattr(location, "WAIT_S", 0)
    urls = {}
    for queue in QUEUES:
        attributes = queue.attributes()
        attributes.pop("RedrivePolicy", None)
        name = f"axon-{ENVIRONMENT}-{queue.name}"
        made = sqs_client.create_queue(QueueName=name, Attributes=attributes)
        urls[queue.name] = made["QueueUrl"]
    yield DlqHarness(capsys, sqs_client, urls)
    for url in urls.values():
        sqs_client.delete_queue(QueueUrl=url)


def test_dlq_says_that_there_are_no_dead_letters(dlq: DlqHarness) -> None:
    assert dlq.done("list") == "no dead letters\n"
    assert dlq.done("redrive", "--all") == "no dead letters\n"
    assert dlq.done("purge", "--all", "--yes") == "no dead letters\n"
    assert json.loads(dlq.done("list", "--json")) == {"letters": [], "more": 0}


def test_dlq_list_shows_a_row_a_dead_letter(dlq: DlqHarness) -> None:
    job = a_job(tenant_id="acme")
    parked = {
        "message_id": "6e1f1a52-3d1c-4a1b-9c2e-0123456789ab",
        "why": "failed repeatedly",
        "when": "2026-11-21T09:08:07+00:00",
        "attempts": "3",
        "response_id": job.response_id,
    }
    dlq.park(job.encode().decode(), **parked)
    dlq.park("poison \x09 text", why="not a job: " + "x" * 100)
    record = json.dumps({"response_id": new_id("resp"), "tenant_id": "a\x1b[2J"})
    dlq.send_dead_history(record)
    for _ in range(3):
        heads, *rows = dlq.done("list").splitlines()
        assert re.split(r"\s{2,}", heads) == [
            "id", "queue", "when (UTC)", "attempts", "tenant", "response", "why",
        ]  # fmt: skip
        cells = {row[0]: row for row in (re.split(r"\s{2,}", row) for row in rows)}
        assert len(cells) == 3
        assert cells["6e1f1a52"][1:] == [
            "jobs", "2026-11-21 09:08", "3", "acme", job.response_id, "failed repeatedly",
        ]  # fmt: skip
        (unread,) = (row for row in cells.values() if row[-1].startswith("not a job"))
        assert unread[4:] == ["-", "-", f"not a job: {'x' * 46}..."]
        (history,) = (row for row in cells.values() if row[1] == "history")
        assert history[4:] == [
            "a\\x1b[2J", json.loads(record)["response_id"], "could not be written to PostgreSQL",
        ]  # fmt: skip
    assert len(dlq.done("list", "--queue", "history").splitlines()) == 2


def test_dlq_list_counts_those_above_the_limit(dlq: DlqHarness) -> None:
    for number in range(15):
        dlq.park(f"letter {number}")
    assert len(dlq.done("list").splitlines()) == 16
    lines = dlq.done("list", "--limit", "12").splitlines()
    assert len(lines) == 14
    assert lines[-1].startswith("about 3 more: above --limit, held by another command,")
    assert len(dlq.ids()) == 15


def test_dlq_leaves_what_another_command_holds(dlq: DlqHarness) -> None:
    letter_id = dlq.park("letter")
    held = dlq.client.receive_message(QueueUrl=dlq.urls["jobs-parked"])["Messages"][0]
    output = dlq.done("list")
    assert output.startswith("no dead letters\nabout 1 more:")
    for action in (("show",), ("redrive",), ("purge", "--yes")):
        code, _, error = dlq.run(*action, letter_id)
        assert code == 1
        assert error.startswith(
            f"axon: there is no dead letter {letter_id}; if `axon dlq list` shows"
        )
    dlq.client.change_message_visibility(
        QueueUrl=dlq.urls["jobs-parked"], ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0
    )
    assert dlq.ids() == [letter_id]


def test_dlq_show_prints_the_whole_dead_letter(dlq: DlqHarness) -> None:
    job = a_job(input="wörld 🌍 \x1b[2J\x9b")
    letter_id = dlq.park(job.model_dump_json().replace("🌍", "\\ud83c\\udf0d"), why="because")
    dlq.send_dead_history("poison \n \x9b2J", group="g")
    shown = json.loads(dlq.done("show", letter_id, "--json"))
    assert shown["id"] == letter_id
    assert shown["why"] == "because"
    assert shown["body"] == job.model_dump(mode="json")
    head, _, body = dlq.done("show", letter_id[:8]).partition("\n\n")
    assert re.search(r"^why +because$", head, re.MULTILINE)
    assert "wörld 🌍 \\u001b[2J\\x9b" in body
    assert len(body.splitlines()) > 10
    other = next(each for each in dlq.ids() if each != letter_id)
    assert dlq.done("show", other).endswith("\n\npoison \n \\x9b2J\n")


def test_dlq_redrive_moves_one_back(dlq: DlqHarness) -> None:
    bodies = [a_job().encode().decode() for _ in range(15)]
    ids = [dlq.park(body) for body in bodies]
    code, output, error = dlq.run("redrive", ids[12])
    assert (code, output) == (0, "1 dead letter moved back to jobs\n")
    assert "is not run again" in error
    assert dlq.bodies("jobs") == [bodies[12]]
    assert set(dlq.ids()) == set(ids) - {ids[12]}
    code, _, error = dlq.run("redrive", ids[12])
    assert code == 1
    assert "there is no dead letter" in error


def test_dlq_redrive_moves_all_back(dlq: DlqHarness) -> None:
    jobs = [a_job().encode().decode() for _ in range(12)]
    for body in jobs:
        dlq.park(body)
    for number in range(12):
        dlq.send_dead_history(f"record {number}")
    assert dlq.run("redrive", "--all", "--queue", "history") == (
        0,
        "12 dead letters moved back to history\n",
        "",
    )
    assert dlq.bodies("history.fifo") == [f"record {number}" for number in range(12)]
    dlq.send_dead_history("record 12")
    assert dlq.done("redrive", "--all") == (
        "12 dead letters moved back to jobs\n1 dead letter moved back to history\n"
    )
    assert set(dlq.bodies("jobs")) == set(jobs)
    assert dlq.bodies("history.fifo") == ["record 12"]
    assert dlq.ids() == []


def test_dlq_redrive_reports_progress_before_a_failure(dlq: DlqHarness) -> None:
    dlq.park("letter")
    dlq.send_dead_history("record")
    dlq.client.delete_queue(QueueUrl=dlq.urls["history.fifo"])
    code, output, error = dlq.run("redrive", "--all")
    assert (code, output) == (1, "1 dead letter moved back to jobs\n")
    assert error.startswith(f"axon: no Axon environment '{ENVIRONMENT}' is deployed")
    assert len(dlq.ids()) == 1
    attributes = next(queue for queue in QUEUES if queue.name == catalog.HISTORY.name).attributes()
    attributes.pop("RedrivePolicy")
    name = f"axon-{ENVIRONMENT}-{catalog.HISTORY.name}"
    dlq.client.create_queue(QueueName=name, Attributes=attributes)


def test_dlq_purge_deletes_one_with_its_copies(dlq: DlqHarness) -> None:
    gone = "6e1f1a52-3d1c-4a1b-9c2e-0123456789ab"
    for _ in range(2):
        dlq.park("letter", message_id=gone)
    stays = dlq.park("letter")
    assert dlq.done("purge", gone[:8], "--yes") == "1 dead letter of jobs deleted\n"
    assert dlq.ids() == [stays]
    assert dlq.bodies("jobs") == []


def test_dlq_purge_deletes_all(dlq: DlqHarness) -> None:
    for number in range(12):
        dlq.park(f"letter {number}")
        dlq.send_dead_history(f"record {number}")
    assert (
        dlq.done("purge", "--all", "--queue", "jobs", "--yes")
        == "12 dead letters of jobs deleted\n"
    )
    assert dlq.done("purge", "--all", "--yes") == "12 dead letters of history deleted\n"
    assert dlq.ids() == []


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "yeah\n"])
def test_dlq_purge_asks_first(
    dlq: DlqHarness, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    letter_id = dlq.park("letter")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, output, error = dlq.run("purge", letter_id)
    assert (code, output) == (1, "")
    assert error == (
        f"Delete the dead letter {letter_id} of jobs for good? [y/N] "
        "axon: nothing was deleted; to delete without a question, add --yes\n"
    )
    assert dlq.ids() == [letter_id]


def test_dlq_purge_deletes_after_a_yes(dlq: DlqHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    dlq.park("letter")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, output, error = dlq.run("purge", "--all")
    assert (code, output) == (0, "1 dead letter of jobs deleted\n")
    assert error == (
        "Delete all dead letters of jobs (about 1) and all dead letters of history (about 0) "
        "for good? [y/N] "
    )


def test_dlq_takes_the_start_of_an_id_that_is_unique(dlq: DlqHarness) -> None:
    for end in "ab":
        dlq.park("letter", message_id=f"6e1f1a52-000{end}")
    code, _, error = dlq.run("show", "6e1f1a5")
    assert (code, error) == (2, "axon: an id has at least 8 characters\n")
    code, _, error = dlq.run("redrive", "6e1f1a52")
    assert (code, error) == (
        1,
        "axon: several dead letters begin with 6e1f1a52; give more of the id\n",
    )
    assert json.loads(dlq.done("show", "6e1f1a52-000b", "--json"))["id"] == "6e1f1a52-000b"
