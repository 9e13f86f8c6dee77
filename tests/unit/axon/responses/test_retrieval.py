import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import pytest

from axon.conversations import Turn
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import RequestError, UnavailableError
from axon.history import HistoryRecord
from axon.jobs import Job
from axon.responses.finisher import FinishedResponse
from axon.responses.retrieval import READERS, TENANT_READERS, ResponseRetrieval
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import CONNECTION, TENANT, a_job

KEPT_S = 301
"""Seconds after which the events of an ended response have expired."""


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


@pytest.fixture
def retrieval(harness: ResponseHarness) -> ResponseRetrieval:
    return ResponseRetrieval(
        event_log=harness.valkey,
        rows=harness.deleted,
        conversations=harness.conversations,
        pending=harness.pending,
    )


async def stored_answer(
    harness: ResponseHarness,
    *texts: str,
    forks: str = "",
    kept: bool = True,
    tenant_id: str = TENANT,
) -> tuple[Job, list[LoggedEvent]]:
    """Store an answer that no log has; return its events."""
    job = a_job(tenant_id=tenant_id)
    transcript = job.transcript()
    events = transcript.first_events()
    for text in texts:
        events += transcript.delta(text, [])
    events += [*transcript.close_message(), transcript.end(Status.COMPLETED)]
    finished = FinishedResponse(
        job=job,
        response=transcript.response,
        event=events[-1],
        epoch=1,
        status=Status.COMPLETED,
        outline=transcript.outline,
        forks=forks,
    )
    record = finished.record(ended_ms=1)
    await harness.history.send(record if kept else record.model_copy(update={"outline": None}))
    return job, events


class TestResponseRetrieval:
    async def test_asks_the_database_once_the_events_have_expired(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        response_id = await harness.submit(connection_id="")
        (job,) = harness.jobs_sent()
        await harness.answer(response_id, "Hello")
        ended = await retrieval.response(response_id, tenant_id=TENANT)
        harness.now += KEPT_S
        with pytest.raises(UnavailableError):  # the log knows it, so its record is on its way
            await retrieval.response(response_id, tenant_id=TENANT)
        await harness.history.send(HistoryRecord.of(job, response=ended, version=1, ended_ms=1))
        assert await retrieval.response(response_id, tenant_id=TENANT) == ended

    @pytest.mark.parametrize("tenant_id", [TENANT, "tenant-2"])
    async def test_says_to_its_tenant_alone_that_a_record_is_on_its_way(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval, tenant_id: str
    ) -> None:
        job = a_job()
        harness.pending.tenants[job.response_id] = TENANT
        for call in (retrieval.response, retrieval.input_items):
            with pytest.raises((UnavailableError, RequestError)) as caught:
                await call(job.response_id, tenant_id=tenant_id)
            assert isinstance(caught.value, UnavailableError) is (tenant_id == TENANT)

    async def test_has_no_input_of_what_is_not_stored(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        response_id = await harness.submit(connection_id="", store=False)
        assert await retrieval.input_items(response_id, tenant_id=TENANT)
        await harness.answer(response_id, "Hello")
        harness.turns.turns.clear()
        with pytest.raises(RequestError) as caught:
            await retrieval.input_items(response_id, tenant_id=TENANT)
        assert (caught.value.code, caught.value.status) == ("response_not_stored", 404)

    @pytest.mark.parametrize("connection_id", ["", CONNECTION])
    async def test_refuses_readers_behind_a_fork(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval, connection_id: str
    ) -> None:
        response_id = await harness.submit(connection_id=connection_id)
        await harness.say(response_id, "one")
        fork = (await harness.valkey.read(response_id))[-1].sequence_number + 1
        harness.valkey.rewind(harness.valkey.snapshot())
        await harness.say(response_id)  # another attempt continues
        with pytest.raises(RequestError) as caught:
            await retrieval.stored_events(response_id, tenant_id=TENANT, after=fork)
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)
        events = await retrieval.stored_events(response_id, tenant_id=TENANT, after=fork - 1)
        assert events is None, "the log has them"

    async def test_makes_the_events_again_once_their_log_is_gone(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        job, events = await stored_answer(harness, "Hel", "lo")
        for after in (-1, 0, 3, events[-2].sequence_number):
            again = await retrieval.stored_events(job.response_id, tenant_id=TENANT, after=after)
            assert again is not None
            assert [e.data async for e in again] == [e.data for e in events[after + 1 :]]

    async def test_makes_the_events_of_a_bounded_number_of_responses_at_a_time(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        async with AsyncExitStack() as stack:

            async def reader(tenant_id: str) -> AsyncGenerator[LoggedEvent, None]:
                job, _ = await stored_answer(harness, "Hello", tenant_id=tenant_id)
                again = await retrieval.stored_events(
                    job.response_id, tenant_id=tenant_id, after=-1
                )
                assert again is not None
                return await stack.enter_async_context(aclosing(again))

            async def waits(tenant_id: str, *, behind: AsyncGenerator[LoggedEvent, None]) -> None:
                late = asyncio.create_task(anext(await reader(tenant_id)))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not late.done()
                await behind.aclose()
                assert (await late).sequence_number == 0

            reading = []
            for number in range(READERS):
                reading.append(await reader(f"tenant-{number // TENANT_READERS}"))
                await anext(reading[-1])
            await waits("tenant-0", behind=reading[0])
            await waits("another", behind=reading[TENANT_READERS])

    async def test_refuses_events_that_a_stored_response_does_not_have(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        job, events = await stored_answer(harness, "Hello", forks=" 4:g")
        for after in (4, len(events) - 1, len(events)):
            with pytest.raises(RequestError) as caught:
                await retrieval.stored_events(job.response_id, tenant_id=TENANT, after=after)
            assert caught.value.code == "response_lost"
        assert await retrieval.stored_events(job.response_id, tenant_id=TENANT, after=3)
        job, events = await stored_answer(harness, "Hello")
        with pytest.raises(RequestError) as caught:
            await retrieval.stored_events(
                job.response_id, tenant_id=TENANT, after=events[-1].sequence_number
            )
        assert (caught.value.code, caught.value.param) == ("invalid_value", "starting_after")
        with pytest.raises(RequestError) as caught:  # more than the response has: they were lost
            await retrieval.stored_events(
                job.response_id, tenant_id=TENANT, after=events[-1].sequence_number + 1
            )
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)

    async def test_refuses_events_of_a_record_that_does_not_have_them(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        job, _ = await stored_answer(harness, "Hello", kept=False)
        with pytest.raises(RequestError) as caught:
            await retrieval.stored_events(job.response_id, tenant_id="tenant-2", after=-1)
        assert caught.value.status == 404
        harness.turns.turns[job.response_id] = Turn.of(job, output=[])
        with pytest.raises(RequestError) as caught:
            await retrieval.stored_events(job.response_id, tenant_id=TENANT, after=-1)
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)

    async def test_gives_items_ids_that_stay(
        self, harness: ResponseHarness, retrieval: ResponseRetrieval
    ) -> None:
        items = [
            {"role": "user", "content": "weather?"},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"role": "assistant", "content": "sunny", "id": "msg_mine"},
        ]
        response_id = await harness.submit(connection_id="", input=items)
        shown = await retrieval.input_items(response_id, tenant_id=TENANT)
        kinds = [item["id"].partition("_")[0] for item in shown]
        assert kinds == ["msg", "fc", "fco", "msg"]
        assert shown[3]["id"] == "msg_mine"
        assert shown[3]["content"][0]["type"] == "output_text"
        assert shown == await retrieval.input_items(response_id, tenant_id=TENANT)
