"""Requests with an input that no message carries: accepted with a payload, or refused."""

import pytest

from axon.event_log.log import Status
from axon.event_log.openings import Opening
from axon.exceptions import RequestError, UnavailableError
from axon.inputs import INLINE_BYTES, WITH_PAYLOAD, LargeInputs, input_key
from axon.jobs import Job
from axon.protocol.requests import DeleteResponse
from axon.responses import large_requests
from axon.responses.large_requests import LargeRequests
from axon.responses.request_size import JOB_BYTES
from axon.serialization import dumps
from axon.testing.payloads import FakePayloadStore
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import TENANT, a_job

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

    @pytest.mark.parametrize(("size", "jobs", "inputs"), [(100, 1, 0), (2 * JOB_BYTES, 1, 1)])
    async def test_is_encoded_once_as_any_other(
        self,
        harness: ResponseHarness,
        monkeypatch: pytest.MonkeyPatch,
        size: int,
        jobs: int,
        inputs: int,
    ) -> None:
        encode, encoded = Job.encode, list[bytes]()
        contents = list[bytes]()

        def counted(job: Job) -> bytes:
            encoded.append(encode(job))
            return encoded[-1]

        def counted_input(value: object) -> bytes:
            contents.append(dumps(value))
            return contents[-1]

        monkeypatch.setattr(large_requests, "dumps", counted_input)

        async def opening(job: Job, content: bytes) -> Opening:
            raise RequestError("enough", code="enough")

        job = a_job(input=[{"role": "user", "content": "x" * size}])
        monkeypatch.setattr(Job, "encode", counted)
        with pytest.raises(RequestError, match="enough"):
            await LargeRequests(inputs=LargeInputs(store=FakePayloadStore())).opened(job, opening)
        assert (len(encoded), len(contents)) == (jobs, inputs)
        assert max(map(len, encoded)) < 4_000

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
