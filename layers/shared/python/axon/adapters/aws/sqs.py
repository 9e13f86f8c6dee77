"""SQS: jobs (standard, grouped by tenant for fairness), history (FIFO), dead letters."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps as escape
from typing import Any

from typing_extensions import override

from axon.adapters.aws.batching import Batcher
from axon.adapters.aws.refusals import entry_refusal
from axon.adapters.aws.sqs_api import SqsApi
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.history import HistoryRecord, HistorySender
from axon.jobs import Job, JobQueue, JobSender, NotExtended, ReceivedJob

LONG_POLL_S = 1
"""Seconds that a receive waits for a message; SQS allows up to 20.

A worker that shuts down lets its last poll end, because a poll that is cut off may take messages
along. So it ends a second later, and not 20. An idle worker makes 86,400 calls a day for it: $0.03.
"""
_SIZE = 10
_MAX_BATCH_BYTES = 256 * 1024
"""Bytes of a batch; a longer message goes alone, since SQS takes 1 MiB for either."""

_UNWELCOME = re.compile("[\ufffe\uffff\U00010000-\U0010ffff]")
"""Characters that JSON need not escape, but SQS (the first two) or a stand-in (others) refuses."""

_PARALLEL = 4
"""Batches of history under way at a time. At 15 ms a batch, two relays that sent one after the
other would need 15 s for the records of 20,000 ends, more than all of them may take (ADR 13)."""

_LONGEST_WAIT_S = 0.004
"""Longest wait of a job for one that is being sent, in seconds: less than SQS takes for a message
(5 to 15 ms), so that under load jobs go together, and a call that hangs delays no other."""

_TRACE = "AWSTraceHeader"

TraceHeader = Callable[[], str | None]
"""Returns AWS's trace header for messages that are sent now, or None."""


def no_trace_header() -> None:
    """Return None: messages continue no trace."""


class SqsJobSender(JobSender):
    """See `axon.jobs.JobSender`; jobs of the same moment are sent as one batch."""

    def __init__(self, *, api: SqsApi, trace_header: TraceHeader = no_trace_header) -> None:
        self._api = api
        self._trace_header = trace_header
        self._messages: Batcher[dict[str, Any], None] = Batcher(
            self._send_batch,
            weigh=_weight,
            max_weight=_MAX_BATCH_BYTES,
            longest_wait_s=_LONGEST_WAIT_S,
            drop_cancelled=True,  # nobody waits for the response
        )

    @override
    async def send(self, job: Job) -> None:
        await self._messages.submit(
            {
                "MessageBody": _body(job.encode().decode()),
                "MessageGroupId": job.tenant_id,
                **_traced(self._trace_header()),
            }
        )

    async def _send_batch(self, messages: Sequence[dict[str, Any]]) -> Sequence[Exception | None]:
        if len(messages) == 1:
            return [await self._send_alone(messages[0])]
        try:
            outcomes = await _send_entries(self._api, messages)
        except PermanentRefusalError:
            # SQS refuses a whole batch for one message in it, which is to fail alone.
            outcomes = [UnavailableError()] * len(messages)
        # An entry may fail though the call succeeds: it is repeated as the call would be.
        again = [i for i, error in enumerate(outcomes) if _passes(error)]
        repeated = await asyncio.gather(*(self._send_alone(messages[i]) for i in again))
        for i, outcome in zip(again, repeated, strict=True):
            outcomes[i] = outcome
        return outcomes

    async def _send_alone(self, message: dict[str, Any]) -> UnavailableError | None:
        try:
            await self._api.call("SendMessage", **message)
        except UnavailableError as error:
            return error
        return None


class SqsJobQueue(JobQueue):
    """See `axon.jobs.JobQueue`; deletions that coincide are sent as one batch."""

    def __init__(self, *, api: SqsApi) -> None:
        self._api = api
        self._deletions: Batcher[str, None] = Batcher(self._delete_batch)

    @override
    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        answer = await self._api.call(
            "ReceiveMessage",
            wait_s=LONG_POLL_S,
            MaxNumberOfMessages=min(limit, _SIZE),
            WaitTimeSeconds=LONG_POLL_S,
            MessageSystemAttributeNames=["ApproximateReceiveCount", _TRACE],
        )
        return [
            ReceivedJob(
                body=message["Body"],
                receipt_handle=message["ReceiptHandle"],
                receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
                message_id=message["MessageId"],
                trace_header=message["Attributes"].get(_TRACE),
            )
            for message in answer.get("Messages") or ()
        ]

    @override
    async def delete(self, received: ReceivedJob) -> None:
        await self._deletions.submit(received.receipt_handle)

    @override
    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        # At once, not one after the other: one slow or failing call must not let the messages of
        # the next ones become visible.
        batches = [messages[start : start + _SIZE] for start in range(0, len(messages), _SIZE)]
        failed = await asyncio.gather(
            *(self._extend_batch(batch, timeout_s=timeout_s) for batch in batches)
        )
        return [each for batch in failed for each in batch]

    async def _extend_batch(
        self, batch: Sequence[ReceivedJob], *, timeout_s: int
    ) -> list[NotExtended]:
        entries = [
            {"Id": str(i), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": timeout_s}
            for i, message in enumerate(batch)
        ]
        outcomes: Sequence[UnavailableError | None]
        try:
            answer = await self._api.call("ChangeMessageVisibilityBatch", Entries=entries)
        except UnavailableError as error:
            # Of the call as a whole: it says nothing of any one receipt handle.
            outcomes = [UnavailableError(str(error))] * len(batch)
        else:
            outcomes = _outcomes("ChangeMessageVisibilityBatch", answer, len(batch))
        pairs = zip(batch, outcomes, strict=True)
        return [NotExtended(message, error) for message, error in pairs if error is not None]

    async def _delete_batch(self, receipts: Sequence[str]) -> Sequence[Exception | None]:
        entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
        answer = await self._api.call("DeleteMessageBatch", Entries=entries)
        return _outcomes("DeleteMessageBatch", answer, len(entries))


class SqsHistorySender(HistorySender):
    """See `axon.history.HistorySender`.

    A turn is continued only after its record was accepted, so a conversation's records are sent in
    order though batches travel at the same time. Records of one response carry a version.
    """

    def __init__(self, *, api: SqsApi, trace_header: TraceHeader = no_trace_header) -> None:
        self._api = api
        self._trace_header = trace_header
        self._messages: Batcher[dict[str, Any], None] = Batcher(
            self._send_batch,
            weigh=_weight,
            max_weight=_MAX_BATCH_BYTES,
            parallel=_PARALLEL,
            drop_cancelled=True,  # the response ends without its record, or is ended again
        )

    @override
    async def send(self, record: HistoryRecord) -> None:
        await self._messages.submit(
            {
                "MessageBody": _body(record.encode().decode()),
                "MessageGroupId": record.conversation_id,
                "MessageDeduplicationId": f"{record.response_id}-{record.version}",
                **_traced(self._trace_header()),
            }
        )

    async def _send_batch(self, messages: Sequence[dict[str, Any]]) -> Sequence[Exception | None]:
        try:
            return await _send_entries(self._api, messages)
        except PermanentRefusalError as error:
            if len(messages) == 1:
                return [error]
            # SQS refuses a whole batch for one message in it: the others are answers of other
            # clients, which must not lose their history for that, nor wait for one another.
            return await asyncio.gather(*map(self._send_alone, messages))

    async def _send_alone(self, message: dict[str, Any]) -> Exception | None:
        try:
            (outcome,) = await self._send_batch([message])
        except UnavailableError as error:
            return error
        return outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedDeadLetter:
    """A dead letter that is kept for the operator.

    Parameters
    ----------
    message_id : str
        Id of the message, by which one that was parked twice is recognized.
    body : str
        Body of the message; characters that SQS refuses are escaped, as JSON allows.
    why : str
        The reason, in one line.
    attempts : int
        Number of receives by workers, all of which failed.
    response_id : str | None
        Id of its response, if it names one.
    group_id : str | None
        Message group, for a FIFO queue; None for any other queue.
    """

    message_id: str
    body: str
    why: str
    attempts: int
    response_id: str | None = None
    group_id: str | None = None


class SqsParking:
    """The queue in which dead letters wait for the operator."""

    def __init__(self, *, api: SqsApi) -> None:
        self._api = api

    async def park(self, dead_letter: ParkedDeadLetter) -> None:
        """Keep a dead letter.

        Raises
        ------
        UnavailableError
            The queue did not accept it.
        """
        values = {
            "message_id": dead_letter.message_id,
            "why": dead_letter.why,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "attempts": str(dead_letter.attempts),
            "response_id": dead_letter.response_id,
        }
        attributes = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in values.items()
            if value
        }
        fifo: dict[str, Any] = {
            "MessageGroupId": dead_letter.group_id,
            # The caller may be killed before it deletes the message, and then park it again.
            "MessageDeduplicationId": dead_letter.message_id,
        }
        await self._api.call(
            "SendMessage",
            MessageBody=_body(dead_letter.body),
            MessageAttributes=attributes,
            **(fifo if dead_letter.group_id else {}),
        )


async def _send_entries(
    api: SqsApi, messages: Sequence[dict[str, Any]]
) -> list[UnavailableError | None]:
    """Send messages in one call; return for each why it was not taken, or None."""
    entries = [{"Id": str(index), **message} for index, message in enumerate(messages)]
    answer = await api.call("SendMessageBatch", Entries=entries)
    return _outcomes("SendMessageBatch", answer, len(entries))


def _passes(error: UnavailableError | None) -> bool:
    return error is not None and not isinstance(error, PermanentRefusalError)


def _weight(message: dict[str, Any]) -> int:
    return len(message["MessageBody"].encode())


def _traced(header: str | None) -> dict[str, Any]:
    if header is None:
        return {}
    value = {"DataType": "String", "StringValue": header}
    return {"MessageSystemAttributes": {_TRACE: value}}


def _body(json: str) -> str:
    return _UNWELCOME.sub(lambda match: escape(match[0])[1:-1], json)


def _outcomes(operation: str, answer: dict[str, Any], count: int) -> list[UnavailableError | None]:
    outcomes: list[UnavailableError | None] = [None] * count
    for failure in answer.get("Failed") or ():
        outcomes[int(failure["Id"])] = entry_refusal(f"SQS {operation}", failure)
    return outcomes
