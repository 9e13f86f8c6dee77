"""Requests without a connection: their caller follows the response."""

from typing import Any

import pytest

from axon.conversations import Turn
from axon.event_log.lanes import lane_of
from axon.event_log.log import Status
from axon.exceptions import RequestError, UnavailableError
from axon.ids import new_id
from axon.responses.request_size import JOB_BYTES
from axon.responses.warm_up import UNSENT
from tests.unit.axon.responses.service_harness import RESUME_WINDOW_S, ResponseHarness
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT

LARGE = {f"key-{number}": "x" * 512 for number in range(16)}
FORMAT = {
    "type": "json_schema",
    "name": "large",
    "schema": {"type": "object", "description": "x" * 130_000},
}


@pytest.fixture
async def harness() -> ResponseHarness:
    """Return a harness in which no relay runs and no connection is open."""
    harness = ResponseHarness()
    await harness.valkey.directory.register((MODEL,), retention_s=10_000)
    return harness


async def begin_relay(harness: ResponseHarness) -> None:
    await harness.valkey.heartbeat("relay", lease_s=10_000)


async def unknown(harness: ResponseHarness, previous: str) -> bool:
    refusal = await harness.refusal(previous_response_id=previous, connection_id="")
    return refusal.code == "previous_response_not_found"


class TestFollowedResponse:
    async def test_is_accepted_without_a_relay(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit(connection_id="")
        (job,) = harness.jobs_sent()
        assert (job.response_id, job.connection_id) == (response_id, "")
        await harness.answer(response_id, "done")
        assert (await harness.events(response_id))[-1]["type"] == "response.completed"
        assert harness.valkey.published == []

    async def test_may_repeat_what_no_websocket_message_carries(
        self, harness: ResponseHarness
    ) -> None:
        request: dict[str, Any] = {"text": {"format": FORMAT}, "metadata": LARGE}
        await harness.submit(connection_id="", **request)
        (job,) = harness.jobs_sent()
        assert job.message_bytes is None
        await begin_relay(harness)
        assert (await harness.refusal(**request)).code == "request_too_large"

    async def test_is_refused_if_no_queue_message_carries_its_job(
        self, harness: ResponseHarness
    ) -> None:
        await harness.submit(connection_id="", input="x" * (JOB_BYTES - 5_000))
        assert len(harness.jobs_sent()) == 1
        refusal = await harness.refusal(connection_id="", input="x" * JOB_BYTES)
        assert (refusal.code, refusal.param) == ("request_too_large", "input")
        assert refusal.status == 413

    async def test_ends_at_once_if_it_generates_nothing(self, harness: ResponseHarness) -> None:
        first = await harness.submit(connection_id="", generate=False)
        assert await harness.status(first) is Status.COMPLETED
        await harness.submit(connection_id="", previous_response_id=first)
        (job,) = harness.jobs_sent()
        assert job.previous_response_id == first

    async def test_fails_when_its_job_cannot_be_sent(self, harness: ResponseHarness) -> None:
        harness.jobs.fail_with = UnavailableError("no queue")
        response_id = await harness.submit(connection_id="")
        assert (await harness.events(response_id))[-1]["response"]["error"] == UNSENT

    async def test_is_cancelled_when_nobody_reads_it(self, harness: ResponseHarness) -> None:
        left = await harness.submit(connection_id="")
        read = await harness.submit(connection_id="")
        await harness.say(left, "some")
        harness.now += RESUME_WINDOW_S
        await harness.valkey.attendance.extend([read])
        assert await harness.sweeper.end_abandoned() == 0
        harness.now += RESUME_WINDOW_S
        assert await harness.sweeper.end_abandoned() == 1
        assert await harness.status(left) is Status.CANCELLED
        assert await harness.status(read) is Status.QUEUED
        assert harness.valkey.published == []

    async def test_ends_in_its_log_when_it_is_cancelled(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit(connection_id="")
        await harness.say(response_id, "some")
        assert await harness.cancel(response_id, connection_id="") is None
        assert await harness.status(response_id) is Status.CANCELLED
        again = await harness.cancel(response_id, connection_id="")
        assert again is not None
        assert again["type"] == "response.cancelled"

    async def test_is_delivered_to_the_connection_that_resumes_it(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit(connection_id="")
        await harness.say(response_id, "some")
        await begin_relay(harness)
        await harness.resume(response_id, starting_after=0)
        assert await harness.where(response_id) == (CONNECTION, 1)
        meta = await harness.valkey.describe(response_id)
        assert meta is not None
        assert meta.position.lane == lane_of(None)


class TestUnstoredFollowedResponse:
    async def test_can_be_continued_by_nobody(self, harness: ResponseHarness) -> None:
        first = await harness.submit(connection_id="", generate=False, store=False)
        assert harness.turns.turns == {}
        assert harness.history.records == {}
        assert await unknown(harness, first)
        await begin_relay(harness)
        assert (await harness.refusal(previous_response_id=first)).code == (
            "previous_response_not_found"
        )

    async def test_can_be_continued_by_nobody_whose_turn_the_version_before_keeps(
        self, harness: ResponseHarness
    ) -> None:
        turn = Turn(
            response_id=new_id("resp"),
            previous_response_id=None,
            conversation_id=new_id("conv"),
            tenant_id=TENANT,
            connection_id="",
            input=[],
            output=[],
        )
        await harness.turns.put([turn, turn.model_copy(update={"connection_id": CONNECTION})])
        assert await unknown(harness, turn.response_id)
        await harness.turns.put([turn])
        assert await unknown(harness, turn.response_id)


class TestRepeatedRequest:
    async def test_gets_the_first_ones_response(self, harness: ResponseHarness) -> None:
        first = await harness.submit(connection_id="", idempotency_key="k")
        assert await harness.submit(connection_id="", idempotency_key="k") == first
        assert [job.response_id for job in harness.jobs_sent()] == [first, first]
        await harness.answer(first, "done")
        assert await harness.submit(connection_id="", idempotency_key="k") == first
        assert harness.jobs_sent() == []
        assert harness.valkey.published == []
        assert (await harness.where(first))[0] == ""

    async def test_is_refused_if_it_is_another_one(self, harness: ResponseHarness) -> None:
        await harness.submit(connection_id="", idempotency_key="k")
        with pytest.raises(RequestError) as refusal:
            await harness.submit(connection_id="", idempotency_key="k", input="other")
        assert refusal.value.status == 409

    async def test_leaves_a_delivered_response_to_its_connection(
        self, harness: ResponseHarness
    ) -> None:
        await begin_relay(harness)
        first = await harness.submit(idempotency_key="k")
        assert await harness.submit(connection_id="", idempotency_key="k") == first
        assert (await harness.where(first))[0] == CONNECTION

    async def test_gets_a_followed_response_delivered_on_a_connection(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(connection_id="", idempotency_key="k")
        await begin_relay(harness)
        assert await harness.submit(idempotency_key="k") == first
        assert await harness.where(first) == (CONNECTION, 0)


async def test_resumption_is_refused_behind_a_fork_that_no_relay_has_confirmed(
    harness: ResponseHarness,
) -> None:
    response_id = await harness.submit(connection_id="")
    attempt = await harness.say(response_id, "one")
    before = harness.valkey.snapshot()
    await attempt.append(attempt.transcript.delta("two", [1]))
    harness.valkey.rewind(before)
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    await harness.say(response_id)  # another attempt continues
    await begin_relay(harness)
    with pytest.raises(RequestError) as refusal:
        await harness.resume(response_id, starting_after=meta.next_sequence)
    assert (refusal.value.code, refusal.value.status) == ("response_lost", 410)
    await harness.resume(response_id, starting_after=meta.next_sequence - 1)
    with pytest.raises(RequestError) as refusal:  # also of a response that is delivered meanwhile
        await harness.resume(response_id, starting_after=meta.next_sequence)
    assert refusal.value.code == "response_lost"
