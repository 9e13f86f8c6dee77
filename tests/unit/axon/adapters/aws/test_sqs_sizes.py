"""Jobs and records of any accepted request and answer fit into SQS's messages (ADR 21)."""

from typing import Any

import pytest

from axon.adapters.aws.sqs import SqsHistorySender, SqsJobSender
from axon.catalog import QUEUE_MESSAGE_BYTES
from axon.event_log.log import Status
from axon.history import HistoryRecord
from axon.jobs import Job
from axon.protocol.messages import parse_object
from axon.protocol.objects import Usage
from axon.protocol.sizes import MESSAGE_BYTES
from tests.unit.axon.samples import a_job

CONTROL, EMOJI, UNWELCOME = "\\u0000", "\U0001f600", "\uffff"


def message(repeated: str, *, before: str = '"input":"', after: str = '"') -> str:
    """Return a message that API Gateway takes and no longer one: a piece, repeated."""
    head, tail = '{"type":"response.create","model":"echo",' + before, after + "}"
    room = MESSAGE_BYTES - len((head + tail).encode())
    return head + repeated * (room // len(repeated.encode())) + tail


REQUESTS = {
    "text": message("x"),
    "quotes": message('\\"'),
    "control": message(CONTROL),
    "emoji": message(EMOJI),
    "unwelcome": message(UNWELCOME),
    "instructions": message(EMOJI, before='"input":"hi","instructions":"'),
    # 4 characters that are written as 18.
    "numbers": message(
        "1e15,",
        before='"input":[{"type":"reasoning","summary":[',
        after='1]},{"role":"user","content":"hi"}]',
    ),
    "messages": message(
        '{"role":"user","content":""},', before='"input":[', after='{"role":"user","content":"hi"}]'
    ),
    "tools": message(
        EMOJI,
        before='"input":"hi","tools":[{"type":"function","name":"f","parameters":{}}],'
        '"instructions":"',
    ),
}


class RecordedApi:
    """Takes calls, and keeps the bodies of their messages."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        entries = parameters.get("Entries") or [parameters]
        self.bodies += [entry["MessageBody"] for entry in entries]
        return {}


@pytest.mark.parametrize("name", REQUESTS)
async def test_sqs_takes_the_job_and_the_history_of_every_accepted_request(
    name: str,
) -> None:
    job = a_job(**parse_object(REQUESTS[name]))
    api: Any = RecordedApi()
    await SqsJobSender(api=api).send(job)
    await SqsHistorySender(api=api).send(ended(job, EMOJI * MESSAGE_BYTES))
    assert len(api.bodies) == 2
    assert max(len(body.encode()) for body in api.bodies) <= QUEUE_MESSAGE_BYTES


def ended(job: Job, answer: str) -> HistoryRecord:
    """Return the record of a response with as much of an answer as it has room for."""
    transcript = job.transcript()
    text = transcript.fitting(answer)
    transcript.delta(text, [1])
    transcript.close_message()
    transcript.end(Status.INCOMPLETE, usage=Usage(1, 2))
    assert text
    return HistoryRecord.of(job, response=transcript.response, version=1, ended_ms=1)
