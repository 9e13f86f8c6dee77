import pytest

from axon.directory.models import SILENCE_S
from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.history import HistoryRecord
from axon.ids import is_id, new_id
from axon.jobs import Job
from axon.responses.service import UNSENT
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import SLEEPING, World
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT, a_request
from tests.unit.axon.sdk_events import validate_stream

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
CALL_OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "4"}


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


class TestSubmit:
    async def test_event_0_is_logged_and_the_job_queued(self, world: World) -> None:
        response_id = await world.submit(input="hello", stream_id="s")
        assert is_id("resp", response_id)
        (created,) = await world.valkey.read(response_id)
        assert b'"response.created"' in created.data
        assert b'"stream_id":"s"' in created.data
        (job,) = world.jobs_sent()
        assert job.response_id == response_id
        assert is_id("conv", job.conversation_id)
        assert (job.tenant_id, job.connection_id) == (TENANT, CONNECTION)

    async def test_the_log_knows_the_job_before_the_queue_does(self, world: World) -> None:
        known: list[bytes] = []

        async def send(job: Job) -> None:
            meta = await world.valkey.describe(job.response_id)
            assert meta is not None
            known.append(meta.job)
            assert meta.job == job.encode()

        world.jobs.send = send  # type: ignore[method-assign]
        await world.submit()
        assert len(known) == 1

    async def test_a_queue_that_is_away_fails_the_response(self, world: World) -> None:
        world.jobs.fail_with = UnavailableError("no queue")
        response_id = await world.submit()
        decoded = await world.events(response_id)
        assert [e["type"] for e in decoded] == ["response.created", "response.failed"]
        assert decoded[-1]["response"]["error"] == UNSENT
        assert world.history.records[response_id].response["status"] == "failed"

    async def test_it_fails_also_when_no_queue_is_there_at_all(self, world: World) -> None:
        world.jobs.fail_with = world.history.fail_with = UnavailableError("no queue")
        response_id = await world.submit()
        assert (await world.events(response_id))[-1]["type"] == "response.failed"

    async def test_an_unknown_model(self, world: World) -> None:
        error = await world.refusal(model="gpt-9")
        assert (error.code, error.param, error.status) == ("model_not_found", "model", 404)
        assert "'gpt-9'" in error.message

    async def test_while_no_model_is_known_the_client_is_told_to_wait(self) -> None:
        empty = World(models=())
        await empty.valkey.heartbeat("relay", lease_s=100)
        with pytest.raises(UnavailableError, match="model"):
            await empty.submit()
        assert empty.jobs_sent() == []

    async def test_without_a_relay_nothing_is_accepted(self, world: World) -> None:
        await world.valkey.leave("relay")
        with pytest.raises(UnavailableError, match="relay"):
            await world.submit()
        assert world.jobs_sent() == []

    async def test_a_connection_that_is_gone_gets_nothing(self, world: World) -> None:
        await world.valkey.remove(CONNECTION)
        response_id = await world.service.submit(
            a_request(), principal=a_principal(TENANT), connection_id=CONNECTION
        )
        assert response_id is None
        assert world.jobs_sent() == []


class TestContinue:
    async def test_a_conversation_goes_on(self, world: World) -> None:
        first = await world.submit()
        await world.answer(first, "hi")
        (job,) = world.jobs_sent()
        second = await world.submit(previous_response_id=first)
        (next_job,) = world.jobs_sent()
        assert next_job.response_id == second
        assert next_job.previous_response_id == first
        assert next_job.conversation_id == job.conversation_id

    @pytest.mark.parametrize(
        "previous", ["resp_" + "0" * 32, "resp_1", "nonsense", "resp_\x00", "resp_" + "\x00" * 32]
    )
    async def test_an_unknown_response(self, world: World, previous: str) -> None:
        error = await world.refusal(previous_response_id=previous)
        assert error.code == "previous_response_not_found"
        assert error.param == "previous_response_id"
        assert error.status == 400
        assert previous in error.message

    async def test_another_tenants_response_is_unknown(self, world: World) -> None:
        first = await world.submit()
        await world.answer(first, "secret")
        world.jobs_sent()
        error = await world.refusal(previous_response_id=first, tenant_id="other")
        unknown = await world.refusal(previous_response_id=new_id("resp"))
        assert error.code == unknown.code
        assert error.message.replace(first, "") == unknown.message.replace(
            unknown.message.split("'")[1], ""
        )

    async def test_an_unstored_response_is_its_connections_own(self, world: World) -> None:
        first = await world.submit(store=False)
        await world.answer(first, "hi")
        world.jobs_sent()
        await world.valkey.register("connection-2", principal=a_principal(TENANT))
        error = await world.refusal(previous_response_id=first, connection_id="connection-2")
        assert error.code == "previous_response_not_found"
        assert await world.submit(previous_response_id=first)

    @pytest.mark.parametrize("stored", [True, False])
    async def test_a_failed_continuation_evicts_an_unstored_parent(
        self, world: World, stored: bool
    ) -> None:
        first = await world.submit(store=stored)
        await world.answer(first, "hi")
        world.jobs_sent()
        await world.refusal(previous_response_id=first, model="gpt-9")
        if stored:
            assert await world.submit(previous_response_id=first)
        else:
            error = await world.refusal(previous_response_id=first)
            assert error.code == "previous_response_not_found"

    async def test_a_passing_fault_evicts_nothing(self, world: World) -> None:
        first = await world.submit(store=False)
        await world.answer(first, "hi")
        await world.valkey.leave("relay")
        with pytest.raises(UnavailableError):
            await world.submit(previous_response_id=first)
        await world.valkey.heartbeat("relay", lease_s=100)
        assert await world.submit(previous_response_id=first)


class TestCalls:
    async def test_an_output_without_its_call(self, world: World) -> None:
        error = await world.refusal(input=[CALL_OUTPUT])
        assert (error.code, error.param) == ("tool_call_not_found", "input")
        assert "call_1" in error.message

    async def test_an_output_before_its_call(self, world: World) -> None:
        error = await world.refusal(input=[CALL_OUTPUT, CALL])
        assert error.code == "tool_call_not_found"

    async def test_an_output_with_its_call(self, world: World) -> None:
        assert await world.submit(input=[CALL, CALL_OUTPUT])

    async def test_an_output_of_an_earlier_turns_call(self, world: World) -> None:
        first = await world.submit(input=[CALL, CALL_OUTPUT])
        await world.answer(first, "4")
        assert await world.submit(input=[CALL_OUTPUT], previous_response_id=first)

    async def test_an_orphan_evicts_an_unstored_parent(self, world: World) -> None:
        first = await world.submit(store=False)
        await world.answer(first, "hi")
        world.jobs_sent()
        error = await world.refusal(input=[CALL_OUTPUT], previous_response_id=first)
        assert error.code == "tool_call_not_found"
        error = await world.refusal(previous_response_id=first)
        assert error.code == "previous_response_not_found"


class TestWaking:
    async def test_while_workers_are_heard_of_nobody_is_woken(self, world: World) -> None:
        await world.submit()
        assert world.scaler.calls == 0

    async def test_workers_are_woken_for_a_job_that_is_queued(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queued: list[int] = []

        async def ensure_running() -> None:
            queued.append(len(world.jobs_sent()))

        monkeypatch.setattr(world.scaler, "ensure_running", ensure_running)
        await world.submit(model=SLEEPING)
        assert queued == [1]

    async def test_workers_that_fell_silent_are_woken(self, world: World) -> None:
        world.now += SILENCE_S + 1
        await world.submit()
        assert world.scaler.calls == 1
        await world.valkey.directory.announce((MODEL,), retention_s=100)
        await world.submit()
        assert world.scaler.calls == 1

    async def test_for_what_needs_no_worker_nobody_is_woken(self, world: World) -> None:
        await world.submit(model=SLEEPING, generate=False)
        world.jobs.fail_with = UnavailableError("away")
        await world.submit(model=SLEEPING)
        await world.valkey.remove(CONNECTION)
        request = a_request(model=SLEEPING)
        gone = await world.service.submit(
            request, principal=a_principal(TENANT), connection_id=CONNECTION
        )
        assert gone is None
        assert world.scaler.calls == 0


class TestWarmUp:
    @pytest.mark.parametrize("stream_id", [None, "stream-7"])
    async def test_it_ends_at_once_and_empty(self, world: World, stream_id: str | None) -> None:
        response_id = await world.submit(generate=False, stream_id=stream_id)
        log = await world.valkey.read(response_id)
        decoded = validate_stream(log, stream_id=stream_id)
        assert [event["type"] for event in decoded] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        assert decoded[-1]["response"]["output"] == []
        assert world.jobs_sent() == []

    @pytest.mark.parametrize("store", [True, False])
    async def test_it_can_be_continued(self, world: World, store: bool) -> None:
        first = await world.submit(generate=False, store=store)
        await world.submit(previous_response_id=first, store=store)
        (job,) = world.jobs_sent()
        assert job.previous_response_id == first
        assert (first in world.history.records) is store

    @pytest.mark.parametrize("store", [True, False])
    async def test_a_history_that_is_away_fails_what_is_to_be_stored(
        self, world: World, store: bool
    ) -> None:
        world.history.fail_with = UnavailableError("no queue")
        response_id = await world.submit(generate=False, store=store)
        last = (await world.events(response_id))[-1]
        assert last["type"] == ("response.failed" if store else "response.completed")
        assert last["response"]["error"] == (UNSENT if store else None)

    async def test_one_that_was_ended_meanwhile_is_left_alone(self, world: World) -> None:
        send = world.history.send

        async def end_meanwhile(record: HistoryRecord) -> None:
            world.history.send = send  # type: ignore[method-assign]
            await world.terminator.end(record.response_id, Status.CANCELLED)

        world.history.send = end_meanwhile  # type: ignore[method-assign]
        response_id = await world.submit(generate=False)
        assert await world.status(response_id) is Status.CANCELLED

    async def test_of_an_unknown_model(self, world: World) -> None:
        assert (await world.refusal(generate=False, model="gpt-9")).code == "model_not_found"

    async def test_on_a_connection_that_is_gone(self, world: World) -> None:
        await world.valkey.remove(CONNECTION)
        request = a_request(generate=False)
        assert (
            await world.service.submit(
                request, principal=a_principal(TENANT), connection_id=CONNECTION
            )
            is None
        )
