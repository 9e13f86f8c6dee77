"""Any message is refused in words that help, or accepted; what is accepted can be served wholly."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from axon.conversations import Turn
from axon.event_log.log import Status
from axon.exceptions import HistoryPendingError, RequestError
from axon.history import HistoryRecord
from axon.jobs import Job
from axon.protocol.errors import error_frame
from axon.protocol.messages import parse_object
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    ResumeResponse,
    parse_event,
    stream_id_of,
)
from axon.responses.terminator import OVERDUE
from axon.serialization import loads
from tests.support.message_fuzz import MessageFuzz
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import CONNECTION, TENANT
from worker.pipeline.messages import Conversation

MESSAGES = int(os.environ.get("AXON_FUZZ_MESSAGES", "20000"))
"""Set it to 1000000 for the long run; its figures are in benchmarks/RESULTS.md."""
SEED = int(os.environ.get("AXON_FUZZ_SEED", "12"))
A_CLOUD = 500
"""Messages for one service and its stores, which forget nothing."""
LONGEST_REFUSAL = 32 * 1024
"""Bytes of a frame of the gateway; a stream id alone may take 24 KB, escaped."""
ERRORS = Path(__file__).parents[4] / "docs" / "architecture.md"
CODES = set(re.findall(r"`([a-z_]+)`", ERRORS.read_text().partition("\n## Errors\n")[2]))
"""All codes that the documentation names."""


class Front:
    """`functions/respond` over fakes, with a worker that ends each response at once."""

    def __init__(self, seed: int) -> None:
        self.harness = ResponseHarness()
        self.ids: list[str] = []
        self.fuzz = MessageFuzz(seed, response_ids=self.ids)
        self.outcomes: Counter[str] = Counter()

    async def take(self) -> None:
        """Handle the next message."""
        body = self.fuzz.message()
        try:
            await self._handle(body)
        except Exception as error:
            raise AssertionError(f"{body[:2000]!r}") from error

    async def _handle(self, body: str) -> None:
        stream_id = None
        try:
            value = parse_object(body)
            stream_id = stream_id_of(value)
            made = await self._respond(value)
        except (RequestError, HistoryPendingError) as error:
            self._refused(error, stream_id)
            return
        self.outcomes["accepted"] += 1
        if made is not None:
            await self._serve(made)

    async def _respond(self, value: dict[str, Any]) -> str | None:
        request = parse_event(value)
        service, who = self.harness.service, a_principal(TENANT)
        match request:
            case CreateResponse():
                return await service.submit(request, principal=who, connection_id=CONNECTION)
            case ResumeResponse():
                await service.resume(request, principal=who, connection_id=CONNECTION)
            case CancelResponse():
                await service.cancel(request, principal=who, connection_id=CONNECTION)
            case DeleteResponse():
                await service.delete(request, principal=who)
        return None

    def _refused(self, error: RequestError | HistoryPendingError, stream_id: str | None) -> None:
        frame = error_frame(error, stream_id=stream_id)
        event = loads(frame)
        assert event["code"] in CODES - {"internal_error"}, frame[:500]
        assert event["param"] is not None or "message" in event["message"], frame[:500]
        assert len(frame) <= LONGEST_REFUSAL, frame[:500]
        self.outcomes[event["code"]] += 1

    async def _serve(self, response_id: str) -> None:
        """Decode its job, end it, store and list it, as workers, functions and readers do."""
        harness = self.harness
        for job in harness.jobs_sent():
            assert Job.decode(job.encode()) == job
            Conversation.of(job, [])
            status = Status.CANCELLED if len(self.ids) % 2 else Status.FAILED
            error = OVERDUE if status is Status.FAILED else None
            await harness.terminator.end(job.response_id, status, error=error, job=job)
        events = [loads(event.data) for event in await harness.valkey.read(response_id)]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        response = events[-1]["response"]
        assert response["status"] in ("cancelled", "failed", "completed"), response
        if response["store"] and response_id not in harness.deleted.tenants:
            record = harness.history.records[response_id]
            assert HistoryRecord.decode(record.encode()) == record
        if turn := harness.turns.turns.get(response_id):
            assert Turn.decode(turn.encode()) == turn
            assert await harness.conversations.heads_before(
                response_id, tenant_id=TENANT, connection_id=CONNECTION
            )
        self.ids.append(response_id)


@pytest.mark.timeout(0 if MESSAGES > 20_000 else 120)
async def test_service_answers_every_message_and_serves_what_it_accepts() -> None:
    outcomes: Counter[str] = Counter()
    for number in range(-(-MESSAGES // A_CLOUD)):
        front = Front(SEED * 1_000_003 + number)
        await front.harness.begin()
        for _ in range(A_CLOUD):
            await front.take()
        outcomes += front.outcomes
    print(dict(outcomes.most_common()))
    # A fuzz of which nothing comes through, or only one kind of refusal, would show nothing.
    assert outcomes["accepted"] > 0.15 * outcomes.total()
    assert len(outcomes) > 10
