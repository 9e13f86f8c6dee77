import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from cli.dlq.message import dead_letter, printable
from tests.unit.axon.samples import a_job

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

PARKED = {
    "message_id": "6e1f1a52-0000",
    "why": "failed repeatedly",
    "when": "2026-11-21T11:08:07+02:00",
    "attempts": "3",
}


def message(body: str, *, group: str = "", **attributes: str) -> "MessageTypeDef":
    """Return a message as SQS gives it: sent at 9:23 UTC, received for the fifth time."""
    system = {"SentTimestamp": "1795252980123", "ApproximateReceiveCount": "5"}
    made: dict[str, Any] = {
        "MessageId": "0a1b2c3d-1111",
        "ReceiptHandle": "receipt",
        "Body": body,
        "Attributes": system | ({"MessageGroupId": group} if group else {}),
    }
    if attributes:
        made["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
    return cast("MessageTypeDef", made)


def test_dead_letter_of_a_job_reads_its_attributes() -> None:
    job = a_job(tenant_id="acme")
    letter = dead_letter(
        message(job.encode().decode(), **PARKED, response_id=job.response_id), queue="jobs"
    )
    assert letter.summary() == {
        "id": "6e1f1a52-0000",
        "queue": "jobs",
        "when": "2026-11-21T09:08:07+00:00",
        "attempts": 3,
        "tenant_id": "acme",
        "response_id": job.response_id,
        "why": "failed repeatedly",
    }
    assert letter.short_id == "6e1f1a52"
    assert letter.as_dict()["body"] == json.loads(job.encode())
    assert (letter.group_id, letter.receipt_handles) == ("acme", ["receipt"])


def test_dead_letter_of_history_reads_what_sqs_knows() -> None:
    body = json.dumps({"response_id": "resp_1", "tenant_id": "acme", "response": {"id": "x"}})
    letter = dead_letter(message(body, group="conv_1"), queue="history")
    assert letter.message_id == "0a1b2c3d-1111"
    assert letter.moved_at == datetime(2026, 11, 21, 9, 23, 0, 123000, UTC)
    assert letter.receive_count == 4
    assert (letter.tenant_id, letter.response_id) == ("acme", "resp_1")
    assert letter.reason == "could not be written to PostgreSQL"
    assert letter.group_id == "conv_1"


@pytest.mark.parametrize(
    "body", ["poison", "{", "[]", "null", '"text"', "{}", '{"tenant_id": 1, "response": []}']
)
@pytest.mark.parametrize("queue", ["jobs", "history"])
def test_dead_letter_keeps_a_body_that_cannot_be_read(body: str, queue: str) -> None:
    letter = dead_letter(message(body), queue=queue)
    assert letter.body == body
    assert (letter.tenant_id, letter.response_id, letter.group_id) == (None, None, None)


def test_dead_letter_ignores_malformed_attributes() -> None:
    letter = dead_letter(message("x", when="yesterday", attempts="many"), queue="jobs")
    assert letter.moved_at == datetime(2026, 11, 21, 9, 23, 0, 123000, UTC)
    assert letter.receive_count == 4
    assert letter.reason == "unknown"


@pytest.mark.parametrize("tenant", ["wörld", "a b", "x" * 129])
def test_dead_letter_has_no_group_that_sqs_refuses(tenant: str) -> None:
    letter = dead_letter(message(json.dumps({"tenant_id": tenant})), queue="jobs")
    assert letter.tenant_id == tenant
    assert letter.group_id is None


def test_printable_escapes_control_characters() -> None:
    text = "wörld 🌍\n\x1b[2J\x9b2J\u202eabc\x07"
    assert printable(text) == "wörld 🌍\\n\\x1b[2J\\x9b2J\\u202eabc\\x07"
    assert printable(text, keep="\n").startswith("wörld 🌍\n\\x1b")
