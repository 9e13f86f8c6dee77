"""Records of history of which SQS refuses one: the others of its batch are sent, side by side."""

import asyncio
from typing import Any, cast

from axon.adapters.aws.sqs import SqsHistorySender
from axon.adapters.aws.sqs_api import SqsApi
from axon.exceptions import PermanentRefusalError
from axon.history import HistoryRecord
from tests.unit.axon.samples import a_job


class RefusingApi:
    """Refuses a batch, and then the record of one response; answers once all others are sent."""

    def __init__(self, *, refused: str, calls: int) -> None:
        self._refused = refused
        self._left = calls
        self._all_sent = asyncio.Event()

    async def call(self, operation: str, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert operation == "SendMessageBatch"
        if len(Entries) > 1:
            raise PermanentRefusalError("a batch")
        self._left -= 1
        if not self._left:
            self._all_sent.set()
        await self._all_sent.wait()
        if HistoryRecord.decode(Entries[0]["MessageBody"]).response_id == self._refused:
            raise PermanentRefusalError("a record")
        return {}


def a_record(number: int) -> HistoryRecord:
    job = a_job()
    return HistoryRecord(
        response_id=f"resp_{number}",
        previous_response_id=None,
        conversation_id=job.conversation_id,
        tenant_id=job.tenant_id,
        key_id=job.key_id,
        version=1,
        created_ms=0,
        ended_ms=1,
        response={"model": "echo", "status": "completed"},
        input=[],
    )


async def test_history_sender_lets_no_record_wait_for_one_that_sqs_refuses() -> None:
    api = RefusingApi(refused="resp_1", calls=4)
    sender = SqsHistorySender(api=cast("SqsApi", api))
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            *(sender.send(a_record(number)) for number in range(4)), return_exceptions=True
        )
    assert [outcomes[0], *outcomes[2:]] == [None] * 3
    assert isinstance(outcomes[1], PermanentRefusalError)
