from typing import Any

import pytest

from axon.event_log.log import Claim, Status
from axon.exceptions import FencedError, RequestError, UnavailableError
from axon.history import HistoryRecord
from axon.ids import new_id
from axon.responses.terminator import OVERDUE
from tests.unit.axon.responses.service_harness import DEADLINE_S, RESUME_WINDOW_S, Attempt, World
from tests.unit.axon.samples import CONNECTION, TENANT


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


class TestCancel:
    async def test_before_any_text(self, world: World) -> None:
        response_id = await world.submit()
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        decoded = await world.events(response_id)
        assert decoded[-1]["type"] == "response.incomplete"
        assert decoded[-1]["response"]["status"] == "cancelled"
        assert world.history.records[response_id].response == decoded[-1]["response"]

    async def test_amid_text(self, world: World) -> None:
        response_id = await world.submit()
        attempt = await world.say(response_id, "one ", "two")
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        decoded = await world.events(response_id)
        assert decoded[-2]["type"] == "response.output_item.done"
        (item,) = decoded[-1]["response"]["output"]
        assert item["content"][0]["text"] == "one two"
        assert item["status"] == "incomplete"
        with pytest.raises(FencedError):
            await attempt.append(attempt.transcript.delta("three", [1]))

    async def test_what_was_said_can_be_continued(self, world: World) -> None:
        response_id = await world.submit(input="go on")
        await world.say(response_id, "one ", "two")
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        turns = await world.conversations.chain(
            response_id, tenant_id=TENANT, connection_id=CONNECTION
        )
        assert turns is not None
        assert turns[0].output[0]["content"][0]["text"] == "one two"

    async def test_again_changes_nothing(self, world: World) -> None:
        response_id = await world.submit()
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        before = await world.valkey.read(response_id)
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert await world.valkey.read(response_id) == before

    async def test_what_has_ended_stays_as_it_is(self, world: World) -> None:
        response_id = await world.submit()
        await world.answer(response_id, "done")
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (await world.events(response_id))[-1]["type"] == "response.completed"

    @pytest.mark.parametrize("response_id", ["resp_" + "0" * 32, "x", "resp_\x00", "y" * 64])
    async def test_what_is_not_there(self, world: World, response_id: str) -> None:
        with pytest.raises(RequestError) as caught:
            await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (caught.value.code, caught.value.param) == ("response_not_found", "response_id")
        assert caught.value.status == 404

    async def test_another_tenants_is_not_there(self, world: World) -> None:
        response_id = await world.submit()
        with pytest.raises(RequestError, match="not found"):
            await world.terminator.cancel(response_id, tenant_id="other")
        assert await world.status(response_id) is Status.QUEUED

    async def test_an_unstored_one_leaves_no_history(self, world: World) -> None:
        response_id = await world.submit(store=False)
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert world.history.records == {}


class TestEnd:
    async def test_what_nobody_resumes_in_time_is_cancelled(self, world: World) -> None:
        mine = [await world.submit(), await world.submit(store=False)]
        others = await world.submit(connection_id="connection-2")
        done = await world.submit()
        await world.answer(done, "done")
        await world.valkey.abandon(CONNECTION)
        await world.terminator.cancel_abandoned()
        world.now += RESUME_WINDOW_S - 1
        await world.terminator.cancel_abandoned()
        assert {await world.status(response_id) for response_id in mine} == {Status.QUEUED}
        world.now += 1
        await world.terminator.cancel_abandoned()
        assert {await world.status(response_id) for response_id in mine} == {Status.CANCELLED}
        assert await world.status(others) is Status.QUEUED
        assert await world.status(done) is Status.COMPLETED

    async def test_what_was_resumed_goes_on(self, world: World) -> None:
        response_id = await world.submit()
        await world.valkey.abandon(CONNECTION)
        await world.resume(response_id, connection_id="connection-2")
        world.now += RESUME_WINDOW_S
        await world.terminator.cancel_abandoned()
        assert await world.status(response_id) is Status.QUEUED

    async def test_one_that_cannot_be_cancelled_keeps_no_other(self, world: World) -> None:
        stored, unstored = await world.submit(), await world.submit(store=False)
        await world.valkey.abandon(CONNECTION)
        world.now += RESUME_WINDOW_S
        world.history.fail_with = UnavailableError("no queue")
        await world.terminator.cancel_abandoned()
        assert await world.status(stored) is Status.QUEUED
        assert await world.status(unstored) is Status.CANCELLED
        world.history.fail_with = None
        await world.terminator.cancel_abandoned()
        assert await world.status(stored) is Status.CANCELLED

    async def test_what_is_overdue_fails(self, world: World) -> None:
        queued, begun = await world.submit(), await world.submit()
        await world.say(begun, "some")
        world.now += DEADLINE_S - 1
        late = await world.submit()
        assert await world.terminator.fail_overdue() == 0
        world.now += 1
        assert await world.terminator.fail_overdue() == 2
        for response_id in (queued, begun):
            decoded = await world.events(response_id)
            assert decoded[-1]["type"] == "response.failed"
            assert decoded[-1]["response"]["error"] == OVERDUE
        assert await world.status(late) is Status.QUEUED
        assert await world.terminator.fail_overdue() == 0

    async def test_a_history_that_is_away_stops_no_failure(self, world: World) -> None:
        response_id = await world.submit()
        world.history.fail_with = UnavailableError("no queue")
        world.now += DEADLINE_S
        assert await world.terminator.fail_overdue() == 1
        assert await world.status(response_id) is Status.FAILED

    async def test_a_history_that_is_away_does_stop_a_cancellation(self, world: World) -> None:
        response_id = await world.submit()
        world.history.fail_with = UnavailableError("no queue")
        with pytest.raises(UnavailableError):
            await world.terminator.cancel(response_id, tenant_id=TENANT)
        world.history.fail_with = None
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (await world.events(response_id))[-1]["response"]["status"] == "cancelled"

    async def test_what_is_not_in_the_log_is_let_go(self, world: World) -> None:
        await world.terminator.end(new_id("resp"), Status.FAILED)

    async def test_whoever_claims_last_ends_it(self, world: World) -> None:
        response_id = await world.submit()
        attempt = await world.say(response_id, "text")
        send = world.history.send

        async def complete_meanwhile(record: HistoryRecord) -> None:
            await send(record)
            with pytest.raises(FencedError):
                await attempt.complete()

        world.history.send = complete_meanwhile  # type: ignore[method-assign]
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (await world.events(response_id))[-1]["response"]["status"] == "cancelled"

    async def test_a_worker_that_claims_it_meanwhile_does_not_save_it(self, world: World) -> None:
        response_id = await world.submit()
        send = world.history.send
        attempts: list[Attempt] = []

        async def claim_meanwhile(record: HistoryRecord) -> None:
            if not attempts:
                attempts.append(await world.say(response_id, "text"))
            await send(record)

        world.history.send = claim_meanwhile  # type: ignore[method-assign]
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (await world.events(response_id))[-1]["response"]["status"] == "cancelled"
        with pytest.raises(FencedError):
            await attempts[0].complete()
        output = world.history.records[response_id].response["output"]
        assert output[0]["content"][0]["text"] == "text"

    async def test_two_that_end_it_at_once_make_one_end(self, world: World) -> None:
        response_id = await world.submit()
        send = world.history.send

        async def end_meanwhile(record: HistoryRecord) -> None:
            world.history.send = send  # type: ignore[method-assign]
            await world.terminator.end(response_id, Status.FAILED, error=OVERDUE)
            await send(record)

        world.history.send = end_meanwhile  # type: ignore[method-assign]
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert (await world.events(response_id))[-1]["type"] == "response.failed"
        assert world.history.records[response_id].response["status"] == "failed"


class TestLost:
    """Valkey loses everything while somebody ends a response."""

    async def test_before_it_was_read_nothing_is_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await world.submit()
        claim = world.valkey.claim

        async def claim_and_lose(*arguments: Any, **options: Any) -> Claim:
            claimed = await claim(*arguments, **options)
            world.valkey.lose()
            return claimed

        monkeypatch.setattr(world.valkey, "claim", claim_and_lose)
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        assert world.history.records == {}
        assert await world.valkey.describe(response_id) is None

    async def test_what_the_history_was_told_becomes_true(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await world.submit()
        await world.say(response_id, "text")
        send = world.history.send

        async def send_and_lose(record: HistoryRecord) -> None:
            await send(record)
            world.valkey.lose()

        monkeypatch.setattr(world.history, "send", send_and_lose)
        await world.terminator.cancel(response_id, tenant_id=TENANT)
        last = (await world.events(response_id))[-1]
        assert last["response"] == world.history.records[response_id].response
        assert await world.status(response_id) is Status.CANCELLED

    async def test_what_is_lost_is_let_go(self, world: World) -> None:
        response_id = await world.submit()
        world.valkey.lose()
        await world.terminator.end(response_id, Status.FAILED)
        assert world.history.records == {}
