"""Requests with an input that no message carries: accepted with a payload, or refused."""

import pytest

from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.inputs import INLINE_BYTES, WITH_PAYLOAD, input_key
from axon.jobs import Job
from axon.protocol.requests import DeleteResponse
from axon.responses.request_size import JOB_BYTES
from axon.testing.payloads import FakePayloadStore
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import TENANT

LARGE = "x" * (2 * JOB_BYTES)


@pytest.fixture
def payloads() -> FakePayloadStore:
    return FakePayloadStore()


@pytest.fixture
async def harness(payloads: FakePayloadStore) -> ResponseHarness:
    harness = ResponseHarness(payloads=payloads)
    await harness.begin()
    return harness


class TestLargeRequest:
    async def test_is_queued_with_a_reference_in_place_of_its_input(
        self, harness: ResponseHarness, payloads: FakePayloadStore
    ) -> None:
        call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": LARGE}
        output = {"type": "function_call_output", "call_id": "c1", "output": "done"}
        response_id = await harness.submit(connection_id="", input=[call, output])
        (job,) = harness.jobs_sent()
        payload = job.input_payload
        assert payload is not None
        assert (job.format, job.input, payload.items) == (WITH_PAYLOAD, [], 2)
        assert payload.call_ids == ("c1",)
        assert payload.key == f"stored/{TENANT}/{response_id}/input"
        assert len(job.encode()) < 2_000
        meta = await harness.valkey.describe(response_id)
        assert meta is not None
        assert Job.decode(meta.job) == job
        items = await harness.retrieval.input_items(response_id, tenant_id=TENANT)
        assert [item["type"] for item in items] == ["function_call", "function_call_output"]
        assert items[0]["arguments"] == LARGE

        await harness.service.delete(
            DeleteResponse(type="response.delete", response_id=response_id),
            principal=a_principal(TENANT),
        )
        assert payloads.content == {}

    async def test_that_is_short_makes_no_call(
        self, harness: ResponseHarness, payloads: FakePayloadStore
    ) -> None:
        await harness.submit(connection_id="", input="x" * (INLINE_BYTES // 2))
        (job,) = harness.jobs_sent()
        assert b"input_payload" not in job.encode()
        assert job.format == 1
        assert payloads.calls == []

    async def test_is_refused_before_it_exists_while_the_store_is_away(
        self, harness: ResponseHarness, payloads: FakePayloadStore
    ) -> None:
        payloads.away = True
        with pytest.raises(UnavailableError):
            await harness.submit(connection_id="", input=LARGE)
        assert harness.jobs_sent() == []
        # What the queue can carry does not depend on the store.
        await harness.submit(connection_id="", input="x" * (JOB_BYTES // 2))
        (job,) = harness.jobs_sent()
        assert (job.format, job.input_payload) == (1, None)

    async def test_leaves_no_payload_if_it_is_refused(
        self, harness: ResponseHarness, payloads: FakePayloadStore
    ) -> None:
        refusal = await harness.refusal(connection_id="", model="nobody", input=LARGE)
        assert refusal.code == "model_not_found"
        refusal = await harness.refusal(connection_id="", input=LARGE, instructions=LARGE)
        assert (refusal.status, refusal.param) == (413, "instructions")
        first = await harness.submit(connection_id="", input=LARGE, idempotency_key="k")
        again = await harness.submit(connection_id="", input=LARGE, idempotency_key="k")
        assert first == again
        assert list(payloads.content) == [input_key(TENANT, first, stored=True)]

    async def test_that_is_cancelled_keeps_its_reference_in_the_record(
        self, harness: ResponseHarness, payloads: FakePayloadStore
    ) -> None:
        response_id = await harness.submit(connection_id="", input=LARGE)
        payloads.away = True  # the terminator needs no store
        await harness.terminator.end(response_id, Status.CANCELLED)
        record = harness.history.records[response_id]
        turn = harness.turns.turns[response_id]
        assert record.input_payload == turn.input_payload is not None
        assert record.format == turn.format == WITH_PAYLOAD
        (head,) = await harness.turns.heads(response_id)
        assert head.size > len(LARGE)
        assert head.items == 1
