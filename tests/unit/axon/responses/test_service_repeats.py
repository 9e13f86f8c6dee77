"""Requests that a client sends again with their idempotency key."""

from typing import Any

import pytest

from axon.event_log.lanes import lane_of
from axon.event_log.log import Status
from axon.event_log.openings import OpenResult
from axon.exceptions import UnavailableError
from axon.jobs import Job
from tests.unit.axon.responses.service_harness import SLEEPING, ResponseHarness
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT

OTHER = "connection-2"


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


class TestIdempotency:
    async def test_returns_the_same_response_for_the_same_key(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(idempotency_key="k", stream_id="a")
        (job,) = harness.jobs_sent()
        await harness.say(first, "text")
        published = list(harness.valkey.published)
        assert await harness.submit(idempotency_key="k", stream_id="a") == first
        assert job.response_id == first
        assert harness.jobs_sent() == []
        assert harness.valkey.published == published
        assert await harness.where(first) == (CONNECTION, 0)

    async def test_resumes_the_response_from_another_connection(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(idempotency_key="k")
        await harness.say(first, "text")
        assert await harness.submit(idempotency_key="k", connection_id=OTHER) == first
        assert await harness.where(first) == (OTHER, 0)
        header, _, fields = harness.valkey.published[-1][1].partition(b" v1 ")
        assert header == f"{first} {OTHER} 0 R".encode()
        assert fields.startswith(b"lane=* ")

    @pytest.mark.parametrize("stream_id", ["b", None])
    async def test_resumes_the_response_in_the_lane_of_the_repeated_request(
        self, harness: ResponseHarness, stream_id: str | None
    ) -> None:
        first = await harness.submit(idempotency_key="k", stream_id="a")
        await harness.say(first, "text")
        assert await harness.submit(idempotency_key="k", stream_id=stream_id) == first
        header, _, fields = harness.valkey.published[-1][1].partition(b" v1 ")
        assert header == f"{first} {CONNECTION} 0 R".encode()
        assert fields.startswith(f"lane={lane_of(stream_id)} ".encode())

    async def test_resumes_an_ended_response(self, harness: ResponseHarness) -> None:
        first = await harness.submit(idempotency_key="k")
        await harness.answer(first, "text")
        harness.jobs_sent()
        assert await harness.submit(idempotency_key="k", connection_id=OTHER) == first
        assert await harness.where(first) == (OTHER, 0)
        assert harness.jobs_sent() == []

    async def test_sends_an_ended_response_again_to_its_own_connection(
        self, harness: ResponseHarness
    ) -> None:
        for number, generate in enumerate((True, False)):
            key = f"k{number}"
            # In lanes of their own: one that waits for another one has not arrived.
            request: dict[str, Any] = {
                "idempotency_key": key,
                "generate": generate,
                "stream_id": key,
            }
            first = await harness.submit(**request)
            if generate:
                await harness.answer(first, "text")
            harness.jobs_sent()
            assert await harness.submit(**request) == first
            header = harness.valkey.published[-1][1].partition(b" v1 ")[0]
            assert header == f"{first} {CONNECTION} 0 R".encode()
            assert harness.jobs_sent() == []

    async def test_leaves_the_events_of_an_ended_response_that_are_on_their_way(
        self, harness: ResponseHarness
    ) -> None:
        harness.valkey.disconnected.add("relay")  # it is granted nothing
        first = await harness.submit(idempotency_key="k")
        await harness.answer(first, "text")
        published = list(harness.valkey.published)
        assert await harness.submit(idempotency_key="k") == first
        assert harness.valkey.published == published

    async def test_sends_an_unclaimed_job_again(self, harness: ResponseHarness) -> None:
        first = await harness.submit(idempotency_key="k")
        jobs = harness.jobs_sent()
        assert await harness.submit(idempotency_key="k") == first
        assert harness.jobs_sent() == jobs

    async def test_sends_a_waiting_job_again_only_after_a_pause_that_doubles(
        self, harness: ResponseHarness
    ) -> None:
        await harness.submit(idempotency_key="k")
        sent = []
        for _ in range(75):
            await harness.submit(idempotency_key="k")
            sent.append(len(harness.jobs_sent()))
            harness.now += 1
        # The first one is the first request's own job.
        assert [second for second, jobs in enumerate(sent) if jobs] == [0, 10, 30, 70]
        assert sent[0] == 2

    async def test_sends_the_job_of_a_submit_that_died(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def die(_job: Job) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(harness.jobs, "send", die)
            with pytest.raises(KeyboardInterrupt):
                await harness.submit(model=SLEEPING, idempotency_key="k")
        assert (harness.jobs_sent(), harness.scaler.calls) == ([], 0)
        first = await harness.submit(model=SLEEPING, idempotency_key="k", connection_id=OTHER)
        (job,) = harness.jobs_sent()
        assert job.response_id == first
        assert harness.scaler.calls == 1
        assert await harness.where(first) == (OTHER, 0)
        await harness.answer(first, "late")
        assert (await harness.events(first))[-1]["type"] == "response.completed"

    async def test_completes_a_warm_up_that_died(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for step in ("claim", "append"):
            with monkeypatch.context() as patch:

                async def die(*_arguments: object, **_options: object) -> None:
                    raise KeyboardInterrupt

                patch.setattr(harness.valkey, step, die)
                with pytest.raises(KeyboardInterrupt):
                    await harness.submit(generate=False, idempotency_key=step)
            first = await harness.submit(generate=False, idempotency_key=step)
            assert (await harness.events(first))[-1]["type"] == "response.completed"
        assert harness.jobs_sent() == []

    @pytest.mark.parametrize("change", [{"input": "other"}, {"generate": False}, {"store": False}])
    async def test_refuses_another_request_under_the_same_key(
        self, harness: ResponseHarness, change: dict[str, object]
    ) -> None:
        first = await harness.submit(idempotency_key="k")
        harness.jobs_sent()
        error = await harness.refusal(idempotency_key="k", connection_id=OTHER, **change)
        assert (error.code, error.param) == ("idempotency_key_reused", "idempotency_key")
        assert error.status == 409
        assert await harness.where(first) == (CONNECTION, 0)

    async def test_keeps_the_keys_of_tenants_apart(self, harness: ResponseHarness) -> None:
        mine = await harness.submit(idempotency_key="k")
        theirs = await harness.submit(idempotency_key="k", tenant_id="other", connection_id=OTHER)
        assert mine != theirs
        assert await harness.where(mine) == (CONNECTION, 0)
        assert [job.tenant_id for job in harness.jobs_sent()] == [TENANT, "other"]

    async def test_keeps_tenant_and_key_apart(self, harness: ResponseHarness) -> None:
        mine = await harness.submit(tenant_id="a", idempotency_key="b c")
        assert await harness.submit(tenant_id="a b", idempotency_key="c") != mine

    async def test_finds_the_response_though_its_conversation_is_gone(
        self, harness: ResponseHarness
    ) -> None:
        parent = await harness.submit(store=False)
        await harness.answer(parent, "hi")
        request: dict[str, Any] = {
            "previous_response_id": parent,
            "store": False,
            "idempotency_key": "k",
        }
        first = await harness.submit(**request)
        assert await harness.submit(connection_id=OTHER, **request) == first
        assert await harness.where(first) == (OTHER, 0)
        harness.jobs_sent()
        error = await harness.refusal(connection_id=OTHER, **request | {"idempotency_key": "other"})
        assert error.code == "previous_response_not_found"

    async def test_uses_no_key_for_a_refused_request(self, harness: ResponseHarness) -> None:
        await harness.refusal(model="gpt-9", idempotency_key="k")
        assert await harness.submit(idempotency_key="k")

    async def test_leaves_a_failed_response_failed(self, harness: ResponseHarness) -> None:
        harness.jobs.fail_with = UnavailableError("no queue")
        first = await harness.submit(idempotency_key="k")
        harness.jobs.fail_with = None
        assert await harness.submit(idempotency_key="k") == first
        assert await harness.status(first) is Status.FAILED
        assert harness.jobs_sent() == []

    async def test_sends_the_job_again_after_the_queue_was_away(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(idempotency_key="k")
        harness.jobs_sent()
        harness.jobs.fail_with = UnavailableError("no queue")
        with pytest.raises(UnavailableError):
            await harness.submit(idempotency_key="k")
        harness.jobs.fail_with = None
        assert await harness.submit(idempotency_key="k") == first
        assert len(harness.jobs_sent()) == 1

    async def test_accepts_the_key_again_after_a_loss(self, harness: ResponseHarness) -> None:
        first = await harness.submit(idempotency_key="k")
        harness.valkey.lose()
        await harness.valkey.directory.register((MODEL,), retention_s=100)
        assert await harness.submit(idempotency_key="k") != first

    async def test_is_unavailable_when_the_response_is_just_lost(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await harness.submit(idempotency_key="k")
        open_ = harness.valkey.open

        async def open_and_lose(*arguments: object) -> object:
            opening = await open_(*arguments)  # type: ignore[arg-type]
            assert opening.outcome is OpenResult.REPEATED
            harness.valkey.lose()
            return opening

        monkeypatch.setattr(harness.valkey, "open", open_and_lose)
        with pytest.raises(UnavailableError):
            await harness.submit(idempotency_key="k")
