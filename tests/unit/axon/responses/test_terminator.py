from collections.abc import Callable
from typing import Any

import pytest

from axon.event_log.log import Claim, LoggedEvent, Status
from axon.event_log.openings import NewResponse
from axon.exceptions import FencedError, UnavailableError
from axon.history import HistoryRecord
from axon.ids import new_id
from axon.protocol.messages import MAX_DEPTH, parse_object
from axon.protocol.requests import CreateResponse, parse_event
from axon.responses.terminator import OVERDUE
from axon.serialization import dumps, loads
from axon.testing.due_index import LEASE_S
from tests.unit.axon.responses.service_harness import (
    DEADLINE_S,
    RESUME_WINDOW_S,
    Attempt,
    ResponseHarness,
)
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


class TestCancel:
    async def test_ends_a_response_without_text(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.terminator.end(response_id, Status.CANCELLED)
        decoded = await harness.events(response_id)
        assert decoded[-1]["type"] == "response.incomplete"
        assert decoded[-1]["response"]["status"] == "cancelled"
        assert harness.history.records[response_id].response == decoded[-1]["response"]

    async def test_closes_the_message_and_fences_the_worker(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        attempt = await harness.say(response_id, "one ", "two")
        await harness.terminator.end(response_id, Status.CANCELLED)
        decoded = await harness.events(response_id)
        assert decoded[-2]["type"] == "response.output_item.done"
        (item,) = decoded[-1]["response"]["output"]
        assert item["content"][0]["text"] == "one two"
        assert item["status"] == "incomplete"
        with pytest.raises(FencedError):
            await attempt.append(attempt.transcript.delta("three", [1]))

    async def test_keeps_the_text_for_a_continuation(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit(input="go on")
        await harness.say(response_id, "one ", "two")
        await harness.terminator.end(response_id, Status.CANCELLED)
        turns = await harness.conversations.chain(
            response_id, tenant_id=TENANT, connection_id=CONNECTION
        )
        assert turns is not None
        assert turns[0].output[0]["content"][0]["text"] == "one two"

    async def test_repeated_changes_nothing(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.terminator.end(response_id, Status.CANCELLED)
        before = await harness.valkey.read(response_id)
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert await harness.valkey.read(response_id) == before

    async def test_leaves_an_ended_response(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.answer(response_id, "done")
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert (await harness.events(response_id))[-1]["type"] == "response.completed"

    async def test_writes_no_history_of_an_unstored_response(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit(store=False)
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert harness.history.records == {}


class TestResponseTerminator:
    async def test_cancels_what_is_not_resumed_in_time(self, harness: ResponseHarness) -> None:
        mine = [await harness.submit(), await harness.submit(store=False)]
        others = await harness.submit(connection_id="connection-2")
        done = await harness.submit()
        await harness.answer(done, "done")
        await harness.valkey.abandon(CONNECTION)
        await harness.sweeper.end_abandoned()
        harness.now += RESUME_WINDOW_S - 1
        await harness.sweeper.end_abandoned()
        assert {await harness.status(response_id) for response_id in mine} == {Status.QUEUED}
        harness.now += 1
        await harness.sweeper.end_abandoned()
        assert {await harness.status(response_id) for response_id in mine} == {Status.CANCELLED}
        assert await harness.status(others) is Status.QUEUED
        assert await harness.status(done) is Status.COMPLETED

    async def test_leaves_what_was_resumed(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.valkey.abandon(CONNECTION)
        await harness.resume(response_id, connection_id="connection-2")
        harness.now += RESUME_WINDOW_S
        await harness.sweeper.end_abandoned()
        assert await harness.status(response_id) is Status.QUEUED

    async def test_cancels_the_others_when_one_cannot_be_cancelled(
        self, harness: ResponseHarness
    ) -> None:
        stored, unstored = await harness.submit(), await harness.submit(store=False)
        await harness.valkey.abandon(CONNECTION)
        harness.now += RESUME_WINDOW_S
        harness.history.fail_with = UnavailableError("no queue")
        await harness.sweeper.end_abandoned()
        assert await harness.status(stored) is Status.QUEUED
        assert await harness.status(unstored) is Status.CANCELLED
        harness.history.fail_with = None
        harness.now += LEASE_S
        await harness.sweeper.end_abandoned()
        assert await harness.status(stored) is Status.CANCELLED

    async def test_fails_what_is_overdue(self, harness: ResponseHarness) -> None:
        queued, begun = await harness.submit(), await harness.submit()
        await harness.say(begun, "some")
        harness.now += DEADLINE_S - 1
        late = await harness.submit()
        assert await harness.sweeper.end_overdue() == 0
        harness.now += 1
        assert await harness.sweeper.end_overdue() == 2
        for response_id in (queued, begun):
            decoded = await harness.events(response_id)
            assert decoded[-1]["type"] == "response.failed"
            assert decoded[-1]["response"]["error"] == OVERDUE
        assert await harness.status(late) is Status.QUEUED
        assert await harness.sweeper.end_overdue() == 0

    async def test_fails_a_response_though_the_history_is_away(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        harness.history.fail_with = UnavailableError("no queue")
        harness.now += DEADLINE_S
        assert await harness.sweeper.end_overdue() == 1
        assert await harness.status(response_id) is Status.FAILED

    async def test_cancels_no_response_while_the_history_is_away(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        harness.history.fail_with = UnavailableError("no queue")
        with pytest.raises(UnavailableError):
            await harness.terminator.end(response_id, Status.CANCELLED)
        harness.history.fail_with = None
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert (await harness.events(response_id))[-1]["response"]["status"] == "cancelled"

    async def test_forgets_what_is_not_in_the_log(self, harness: ResponseHarness) -> None:
        await harness.terminator.end(new_id("resp"), Status.FAILED)

    async def test_fences_a_worker_that_completes_meanwhile(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        attempt = await harness.say(response_id, "text")
        send = harness.history.send

        async def complete_meanwhile(record: HistoryRecord) -> None:
            await send(record)
            with pytest.raises(FencedError):
                await attempt.complete()

        harness.history.send = complete_meanwhile  # type: ignore[method-assign]
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert (await harness.events(response_id))[-1]["response"]["status"] == "cancelled"

    async def test_claims_again_when_a_worker_claims_meanwhile(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        send = harness.history.send
        attempts: list[Attempt] = []

        async def claim_meanwhile(record: HistoryRecord) -> None:
            if not attempts:
                attempts.append(await harness.say(response_id, "text"))
            await send(record)

        harness.history.send = claim_meanwhile  # type: ignore[method-assign]
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert (await harness.events(response_id))[-1]["response"]["status"] == "cancelled"
        with pytest.raises(FencedError):
            await attempts[0].complete()
        output = harness.history.records[response_id].response["output"]
        assert output[0]["content"][0]["text"] == "text"

    async def test_makes_one_end_of_two_at_once(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        send = harness.history.send

        async def end_meanwhile(record: HistoryRecord) -> None:
            harness.history.send = send  # type: ignore[method-assign]
            await harness.terminator.end(response_id, Status.FAILED, error=OVERDUE)
            await send(record)

        harness.history.send = end_meanwhile  # type: ignore[method-assign]
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert (await harness.events(response_id))[-1]["type"] == "response.failed"
        assert harness.history.records[response_id].response["status"] == "failed"


class TestResponseTerminatorAfterALoss:
    """Valkey loses everything while somebody ends a response."""

    async def test_writes_nothing_when_the_log_was_lost_before_it_was_read(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await harness.submit()
        await harness.say(response_id, "text")
        claim = harness.valkey.claim

        async def claim_and_lose(*arguments: Any, **options: Any) -> Claim:
            claimed = await claim(*arguments, **options)
            harness.valkey.lose()
            return claimed

        monkeypatch.setattr(harness.valkey, "claim", claim_and_lose)
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert harness.history.records == {}
        assert await harness.valkey.describe(response_id) is None

    async def test_restores_the_end_that_the_history_has(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await harness.submit()
        await harness.say(response_id, "text")
        send = harness.history.send

        async def send_and_lose(record: HistoryRecord) -> None:
            await send(record)
            harness.valkey.lose()

        monkeypatch.setattr(harness.history, "send", send_and_lose)
        await harness.terminator.end(response_id, Status.CANCELLED)
        last = (await harness.events(response_id))[-1]
        assert last["response"] == harness.history.records[response_id].response
        assert await harness.status(response_id) is Status.CANCELLED

    async def test_tries_again_when_a_failover_loses_events_after_its_claim(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await harness.submit()
        await harness.say(response_id, "text")
        read = harness.valkey.read

        async def lacking(*arguments: Any, **options: Any) -> list[LoggedEvent]:
            monkeypatch.setattr(harness.valkey, "read", read)
            return (await read(*arguments, **options))[:-1]

        monkeypatch.setattr(harness.valkey, "read", lacking)
        await harness.terminator.end(response_id, Status.CANCELLED)
        assert await harness.status(response_id) is Status.CANCELLED

    async def test_forgets_what_is_lost(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        harness.valkey.lose()
        await harness.terminator.end(response_id, Status.FAILED)
        assert harness.history.records == {}


class TestDeep:
    """Nesting: nothing that is accepted is too deep for a later step."""

    @pytest.mark.parametrize("field", ["tools", "text", "input"])
    async def test_request_at_the_limit_is_ended_and_stored(
        self, harness: ResponseHarness, field: str
    ) -> None:
        request = parse_event(parse_object(dumps(deepest(field))))
        assert isinstance(request, CreateResponse)
        response_id = await harness.submit(**request.model_dump(exclude={"type", "model"}))
        await harness.say(response_id, "one")
        await harness.terminator.end(response_id, Status.FAILED, error=OVERDUE)
        record = HistoryRecord.decode(harness.history.records[response_id].encode())
        assert record.response == (await harness.events(response_id))[-1]["response"]

    async def test_response_that_cannot_be_read_is_ended(self, harness: ResponseHarness) -> None:
        deep = b"[" * 300 + b"]" * 300  # as a version without the limit has accepted it
        response = NewResponse(
            response_id=new_id("resp"),
            tenant_id=TENANT,
            connection_id=CONNECTION,
            model=MODEL,
            job=deep,
            created=deep,
        )
        await harness.valkey.open(response)
        await harness.terminator.end(response.response_id, Status.FAILED, error=OVERDUE)
        assert await harness.status(response.response_id) is Status.FAILED
        *_, end = await harness.valkey.read(response.response_id)
        event = loads(end.data)
        assert (event["type"], event["sequence_number"]) == ("response.failed", 1)
        assert (event["response"]["id"], event["response"]["error"]) == (
            response.response_id,
            OVERDUE,
        )


def deepest(field: str) -> dict[str, Any]:
    """Return a request in which a field is as deep as a message may be."""
    values: dict[str, tuple[int, Callable[[Any], Any]]] = {
        "tools": (3, lambda value: [{"type": "function", "name": "f", "parameters": value}]),
        "text": (
            3,
            lambda value: {"format": {"type": "json_schema", "name": "n", "schema": value}},
        ),
        "input": (3, lambda value: [{"role": "user", "content": "hi", "more": value}]),
    }
    around, wrap = values[field]
    value: Any = {}
    for _ in range(MAX_DEPTH - around - 1):
        value = {"a": value}
    return {"type": "response.create", "model": MODEL, "input": "hi", field: wrap(value)}
