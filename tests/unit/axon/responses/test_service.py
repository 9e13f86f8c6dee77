import pytest

from axon.conversations import MAX_CONVERSATION_BYTES, MAX_TURNS, Turn, TurnHead
from axon.directory.models import SILENCE_S
from axon.event_log.openings import NewResponse, Opening, OpenResult
from axon.exceptions import (
    ConnectionFullError,
    PermanentRefusalError,
    StoreFullError,
    TenantFullError,
    UnavailableError,
)
from axon.ids import is_id, new_id
from axon.jobs import Job
from axon.responses.service import REFUSED
from axon.responses.warm_up import UNSENT
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import SLEEPING, ResponseHarness
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT, a_request

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
CALL_OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "4"}


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


class TestSubmit:
    async def test_logs_event_0_and_queues_the_job(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit(input="hello", stream_id="s")
        assert is_id("resp", response_id)
        (created,) = await harness.valkey.read(response_id)
        assert b'"response.created"' in created.data
        assert b'"stream_id":"s"' in created.data
        (job,) = harness.jobs_sent()
        assert job.response_id == response_id
        assert is_id("conv", job.conversation_id)
        assert (job.tenant_id, job.connection_id) == (TENANT, CONNECTION)

    async def test_refuses_what_no_message_could_tell_of_before_anything_is_queued(
        self, harness: ResponseHarness
    ) -> None:
        tool = {"type": "function", "name": "f", "description": "d" * 125_000}
        error = await harness.refusal(tools=[tool])
        assert (error.code, error.param) == ("request_too_large", "tools")
        assert harness.jobs_sent() == []

    async def test_opens_the_log_before_it_sends_the_job(self, harness: ResponseHarness) -> None:
        known: list[bytes] = []

        async def send(job: Job) -> None:
            meta = await harness.valkey.describe(job.response_id)
            assert meta is not None
            known.append(meta.job)
            assert meta.job == job.encode()

        harness.jobs.send = send  # type: ignore[method-assign]
        await harness.submit()
        assert len(known) == 1

    @pytest.mark.parametrize(
        ("failure", "told"),
        [(UnavailableError("no queue"), UNSENT), (PermanentRefusalError("too long"), REFUSED)],
    )
    async def test_fails_the_response_when_the_queue_is_away_or_refuses(
        self, harness: ResponseHarness, failure: Exception, told: dict[str, str]
    ) -> None:
        harness.jobs.fail_with = failure
        response_id = await harness.submit()
        decoded = await harness.events(response_id)
        assert [e["type"] for e in decoded] == ["response.created", "response.failed"]
        assert decoded[-1]["response"]["error"] == told
        assert harness.history.records[response_id].response["status"] == "failed"

    async def test_codes_a_permanent_refusal_as_one_that_clients_do_not_repeat(
        self, harness: ResponseHarness
    ) -> None:
        harness.jobs.fail_with = PermanentRefusalError("too long")
        failed = (await harness.events(await harness.submit()))[-1]
        assert failed["response"]["error"]["code"] == "invalid_prompt"

    async def test_fails_the_response_when_both_queues_are_away(
        self, harness: ResponseHarness
    ) -> None:
        harness.jobs.fail_with = harness.history.fail_with = UnavailableError("no queue")
        response_id = await harness.submit()
        assert (await harness.events(response_id))[-1]["type"] == "response.failed"

    async def test_fails_the_response_when_its_log_is_lost_while_the_queue_refuses(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse_and_lose(_: Job) -> None:
            harness.valkey.lose()
            raise UnavailableError("no queue")

        monkeypatch.setattr(harness.jobs, "send", refuse_and_lose)
        response_id = await harness.submit()
        decoded = await harness.events(response_id)
        # Its client has event 0, and may have event 1: both are the same ones again.
        assert [e["type"] for e in decoded] == [
            "response.created",
            "response.in_progress",
            "response.failed",
        ]
        assert decoded[-1]["response"]["error"] == UNSENT
        assert harness.history.records[response_id].response["status"] == "failed"
        await harness.valkey.register(CONNECTION, principal=a_principal(TENANT))
        await harness.resume(response_id, starting_after=0)

    async def test_refuses_an_unknown_model(self, harness: ResponseHarness) -> None:
        error = await harness.refusal(model="gpt-9")
        assert (error.code, error.param, error.status) == ("model_not_found", "model", 404)
        assert "'gpt-9'" in error.message

    async def test_is_unavailable_while_no_model_is_known(self) -> None:
        empty = ResponseHarness(models=())
        await empty.valkey.heartbeat("relay", lease_s=100)
        with pytest.raises(UnavailableError, match="model"):
            await empty.submit()
        assert empty.jobs_sent() == []

    async def test_accepts_nothing_without_a_relay(self, harness: ResponseHarness) -> None:
        await harness.valkey.end_lease("relay")
        with pytest.raises(UnavailableError, match="relay"):
            await harness.submit()
        assert harness.jobs_sent() == []

    @pytest.mark.parametrize(
        ("outcome", "error"),
        [
            (OpenResult.FULL, StoreFullError),
            (OpenResult.TENANT_FULL, TenantFullError),
            (OpenResult.CONNECTION_FULL, ConnectionFullError),
        ],
    )
    async def test_accepts_nothing_without_memory_and_keeps_what_is_continued(
        self,
        harness: ResponseHarness,
        outcome: OpenResult,
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first = await harness.submit(store=False)
        await harness.answer(first, "hi")
        assert len(harness.jobs_sent()) == 1

        async def full(_: NewResponse) -> Opening:
            return Opening(outcome)

        with monkeypatch.context() as patch:
            patch.setattr(harness.valkey, "open", full)
            with pytest.raises(error):
                await harness.submit(previous_response_id=first)
        assert harness.jobs_sent() == []
        assert await harness.submit(previous_response_id=first)

    async def test_accepts_nothing_for_a_closed_connection(self, harness: ResponseHarness) -> None:
        await harness.valkey.remove(CONNECTION)
        response_id = await harness.service.submit(
            a_request(), principal=a_principal(TENANT), connection_id=CONNECTION
        )
        assert response_id is None
        assert harness.jobs_sent() == []


class TestContinue:
    @pytest.mark.parametrize(("turns", "size"), [(MAX_TURNS, 1), (1, MAX_CONVERSATION_BYTES + 1)])
    async def test_continues_no_conversation_beyond_the_limits(
        self,
        harness: ResponseHarness,
        turns: int,
        size: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first = await harness.submit()
        await harness.answer(first, "hi")
        assert len(harness.jobs_sent()) == 1
        (head,) = await harness.turns.heads(first)

        async def heads(_: str) -> list[TurnHead]:
            return [head.model_copy(update={"size": size})] * turns

        with monkeypatch.context() as patch:
            patch.setattr(harness.turns, "heads", heads)
            error = await harness.refusal(previous_response_id=first)
        assert (error.code, error.param) == ("conversation_too_long", "previous_response_id")
        assert "new conversation" in error.message
        assert await harness.submit(previous_response_id=first)

    async def test_reads_no_content_of_earlier_turns(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await harness.submit()
        await harness.answer(first, "hi")
        heads = await harness.turns.heads(first)

        async def heads_of(_: str) -> list[TurnHead]:
            return heads

        async def content(_: str) -> list[Turn]:
            raise AssertionError("the worker reads it, and nobody else")

        monkeypatch.setattr(harness.turns, "heads", heads_of)
        monkeypatch.setattr(harness.turns, "chain", content)
        assert await harness.submit(previous_response_id=first)

    async def test_continues_a_conversation(self, harness: ResponseHarness) -> None:
        first = await harness.submit()
        await harness.answer(first, "hi")
        (job,) = harness.jobs_sent()
        second = await harness.submit(previous_response_id=first)
        (next_job,) = harness.jobs_sent()
        assert next_job.response_id == second
        assert next_job.previous_response_id == first
        assert next_job.conversation_id == job.conversation_id

    @pytest.mark.parametrize(
        "previous", ["resp_" + "0" * 32, "resp_1", "nonsense", "resp_\x00", "resp_" + "\x00" * 32]
    )
    async def test_refuses_an_unknown_previous_response(
        self, harness: ResponseHarness, previous: str
    ) -> None:
        error = await harness.refusal(previous_response_id=previous)
        assert error.code == "previous_response_not_found"
        assert error.param == "previous_response_id"
        assert error.status == 400
        assert previous in error.message

    async def test_refuses_another_tenants_response_as_unknown(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit()
        await harness.answer(first, "secret")
        harness.jobs_sent()
        error = await harness.refusal(previous_response_id=first, tenant_id="other")
        unknown = await harness.refusal(previous_response_id=new_id("resp"))
        assert error.code == unknown.code
        assert error.message.replace(first, "") == unknown.message.replace(
            unknown.message.split("'")[1], ""
        )

    async def test_continues_an_unstored_response_on_its_connection_only(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(store=False)
        await harness.answer(first, "hi")
        harness.jobs_sent()
        await harness.valkey.register("connection-2", principal=a_principal(TENANT))
        error = await harness.refusal(previous_response_id=first, connection_id="connection-2")
        assert error.code == "previous_response_not_found"
        assert await harness.submit(previous_response_id=first)

    @pytest.mark.parametrize("stored", [True, False])
    async def test_evicts_an_unstored_parent_when_it_is_refused(
        self, harness: ResponseHarness, stored: bool
    ) -> None:
        first = await harness.submit(store=stored)
        await harness.answer(first, "hi")
        harness.jobs_sent()
        await harness.refusal(previous_response_id=first, model="gpt-9")
        if stored:
            assert await harness.submit(previous_response_id=first)
        else:
            error = await harness.refusal(previous_response_id=first)
            assert error.code == "previous_response_not_found"

    async def test_evicts_nothing_when_it_is_unavailable(self, harness: ResponseHarness) -> None:
        first = await harness.submit(store=False)
        await harness.answer(first, "hi")
        await harness.valkey.end_lease("relay")
        with pytest.raises(UnavailableError):
            await harness.submit(previous_response_id=first)
        await harness.valkey.heartbeat("relay", lease_s=100)
        assert await harness.submit(previous_response_id=first)


class TestTools:
    async def test_of_a_service_are_refused_before_anything_is_queued(
        self, harness: ResponseHarness
    ) -> None:
        error = await harness.refusal(tools=[{"type": "mcp", "server_label": "x"}])
        assert (error.code, error.param) == ("invalid_value", "tools.0.type")
        assert harness.jobs_sent() == []

    async def test_of_a_service_are_shown_where_they_are_ignored(
        self, harness: ResponseHarness
    ) -> None:
        harness.alias({}, ignored_tools=("mcp",))
        tool = {"type": "mcp", "server_label": "x"}
        await harness.submit(tools=[tool])
        (job,) = harness.jobs_sent()
        assert job.response["tools"] == [tool]

    async def test_that_take_text_answer_their_call(self, harness: ResponseHarness) -> None:
        call = {"type": "custom_tool_call", "call_id": "call_9", "name": "patch", "input": "x"}
        output = {"type": "custom_tool_call_output", "call_id": "call_9", "output": "done"}
        error = await harness.refusal(input=[output])
        assert "custom tool call output with call_id call_9" in error.message
        first = await harness.submit(input=[call, output])
        await harness.answer(first, "4")
        assert await harness.submit(input=[output], previous_response_id=first)
        items = await harness.retrieval.input_items(first, tenant_id=TENANT)
        assert [item["type"] for item in items] == ["custom_tool_call", "custom_tool_call_output"]


class TestFunctionCallOutputs:
    async def test_are_refused_without_their_call(self, harness: ResponseHarness) -> None:
        error = await harness.refusal(input=[CALL_OUTPUT])
        assert (error.code, error.param) == ("tool_call_not_found", "input")
        assert "call_1" in error.message

    async def test_are_refused_before_their_call(self, harness: ResponseHarness) -> None:
        error = await harness.refusal(input=[CALL_OUTPUT, CALL])
        assert error.code == "tool_call_not_found"

    async def test_are_accepted_with_their_call(self, harness: ResponseHarness) -> None:
        assert await harness.submit(input=[CALL, CALL_OUTPUT])

    async def test_are_accepted_for_an_earlier_turns_call(self, harness: ResponseHarness) -> None:
        first = await harness.submit(input=[CALL, CALL_OUTPUT])
        await harness.answer(first, "4")
        assert await harness.submit(input=[CALL_OUTPUT], previous_response_id=first)

    async def test_evict_an_unstored_parent_when_they_are_refused(
        self, harness: ResponseHarness
    ) -> None:
        first = await harness.submit(store=False)
        await harness.answer(first, "hi")
        harness.jobs_sent()
        error = await harness.refusal(input=[CALL_OUTPUT], previous_response_id=first)
        assert error.code == "tool_call_not_found"
        error = await harness.refusal(previous_response_id=first)
        assert error.code == "previous_response_not_found"


class TestScaleFromZero:
    async def test_starts_no_worker_while_some_announce_themselves(
        self, harness: ResponseHarness
    ) -> None:
        await harness.submit()
        assert harness.scaler.calls == 0

    async def test_starts_workers_for_a_queued_job(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queued: list[int] = []

        async def ensure_running() -> None:
            queued.append(len(harness.jobs_sent()))

        monkeypatch.setattr(harness.scaler, "ensure_running", ensure_running)
        await harness.submit(model=SLEEPING)
        assert queued == [1]

    async def test_starts_workers_when_they_fell_silent(self, harness: ResponseHarness) -> None:
        harness.now += SILENCE_S + 1
        await harness.submit()
        assert harness.scaler.calls == 1
        await harness.valkey.directory.register((MODEL,), retention_s=100)
        await harness.submit()
        assert harness.scaler.calls == 1

    async def test_starts_no_worker_for_what_needs_none(self, harness: ResponseHarness) -> None:
        await harness.submit(model=SLEEPING, generate=False)
        harness.jobs.fail_with = UnavailableError("away")
        await harness.submit(model=SLEEPING)
        await harness.valkey.remove(CONNECTION)
        request = a_request(model=SLEEPING)
        gone = await harness.service.submit(
            request, principal=a_principal(TENANT), connection_id=CONNECTION
        )
        assert gone is None
        assert harness.scaler.calls == 0
