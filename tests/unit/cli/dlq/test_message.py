import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from cli.dlq.message import letter_of, printable
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


def test_a_parked_job() -> None:
    job = a_job(tenant_id="acme")
    letter = letter_of(
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
    assert (letter.group, letter.receipts) == ("acme", ["receipt"])


def test_a_record_of_history() -> None:
    body = json.dumps({"response_id": "resp_1", "tenant_id": "acme", "response": {"id": "x"}})
    letter = letter_of(message(body, group="conv_1"), queue="history")
    assert letter.id == "0a1b2c3d-1111"
    assert letter.when == datetime(2026, 11, 21, 9, 23, 0, 123000, UTC)
    assert letter.attempts == 4
    assert (letter.tenant_id, letter.response_id) == ("acme", "resp_1")
    assert letter.why == "could not be written to PostgreSQL"
    assert letter.group == "conv_1"


@pytest.mark.parametrize(
    "body", ["poison", "{", "[]", "null", '"text"', "{}", '{"tenant_id": 1, "response": []}']
)
@pytest.mark.parametrize("queue", ["jobs", "history"])
def test_what_cannot_be_read(body: str, queue: str) -> None:
    letter = letter_of(message(body), queue=queue)
    assert letter.body == body
    assert (letter.tenant_id, letter.response_id, letter.group) == (None, None, None)


def test_nonsense_in_the_attributes_is_as_if_there_were_none() -> None:
    letter = letter_of(message("x", when="yesterday", attempts="many"), queue="jobs")
    assert letter.when == datetime(2026, 11, 21, 9, 23, 0, 123000, UTC)
    assert letter.attempts == 4
    assert letter.why == "unknown"


@pytest.mark.parametrize("tenant", ["wörld", "a b", "x" * 129])
def test_a_tenant_that_sqs_does_not_take_as_a_group_is_none(tenant: str) -> None:
    letter = letter_of(message(json.dumps({"tenant_id": tenant})), queue="jobs")
    assert letter.tenant_id == tenant
    assert letter.group is None


def test_a_letter_does_not_change_the_terminal() -> None:
    text = "wörld 🌍\n\x1b[2J\x9b2J\u202eabc\x07"
    assert printable(text) == "wörld 🌍\\n\\x1b[2J\\x9b2J\\u202eabc\\x07"
    assert printable(text, keep="\n").startswith("wörld 🌍\n\\x1b")
