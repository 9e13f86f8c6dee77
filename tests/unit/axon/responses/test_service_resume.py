"""Responses that a client comes back for: by their id, or by the request's idempotency key."""

from typing import Any

import pytest

from axon.event_log.log import OpenResult, Status
from axon.exceptions import RequestError, UnavailableError
from axon.ids import new_id
from axon.jobs import Job
from tests.unit.axon.responses.service_harness import SLEEPING, World
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT

OTHER = "connection-2"


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


async def where(world: World, response_id: str) -> tuple[str, int]:
    """Return the connection that gets the response, and the number of its next event."""
    meta = await world.valkey.describe(response_id)
    assert meta is not None
    return meta.connection_id, meta.checkpoint.next_sequence


class TestResume:
    async def test_the_next_events_go_to_the_new_connection(self, world: World) -> None:
        response_id = await world.submit()
        attempt = await world.say(response_id, "one")
        await world.resume(response_id, starting_after=2, connection_id=OTHER)
        assert await where(world, response_id) == (OTHER, 3)
        await attempt.complete()
        header = world.valkey.published[-1][1].partition(b"\n")[0]
        assert header.split(b" ")[1] == OTHER.encode()

    async def test_without_a_number_all_of_them(self, world: World) -> None:
        response_id = await world.submit()
        await world.resume(response_id, connection_id=OTHER)
        assert await where(world, response_id) == (OTHER, 0)

    async def test_what_has_ended(self, world: World) -> None:
        response_id = await world.submit()
        await world.answer(response_id, "done")
        last = (await world.events(response_id))[-1]["sequence_number"]
        await world.resume(response_id, starting_after=last - 1, connection_id=OTHER)
        with pytest.raises(RequestError) as caught:
            await world.resume(response_id, starting_after=last, connection_id=OTHER)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "starting_after")

    async def test_a_number_that_was_never_sent(self, world: World) -> None:
        response_id = await world.submit()
        with pytest.raises(RequestError, match="no event 7") as caught:
            await world.resume(response_id, starting_after=7, connection_id=OTHER)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "starting_after")
        assert caught.value.status == 400
        assert await where(world, response_id) == (CONNECTION, 0)

    @pytest.mark.parametrize("response_id", ["resp_" + "0" * 32, "x", "resp_\x00", "y" * 64])
    async def test_what_is_not_there(self, world: World, response_id: str) -> None:
        with pytest.raises(RequestError) as caught:
            await world.resume(response_id)
        assert (caught.value.code, caught.value.param) == ("response_not_found", "response_id")
        assert caught.value.status == 404

    async def test_another_tenants_is_not_there(self, world: World) -> None:
        response_id = await world.submit()
        unknown = new_id("resp")
        messages = []
        for wanted in (response_id, unknown):
            with pytest.raises(RequestError) as caught:
                await world.resume(wanted, tenant_id="other", connection_id=OTHER)
            messages.append(caught.value.message.replace(wanted, ""))
        assert messages[0] == messages[1]
        assert await where(world, response_id) == (CONNECTION, 0)

    async def test_without_a_relay(self, world: World) -> None:
        response_id = await world.submit()
        await world.valkey.leave("relay")
        with pytest.raises(UnavailableError, match="relay"):
            await world.resume(response_id, connection_id=OTHER)

    async def test_for_a_connection_that_is_gone_nothing_happens(self, world: World) -> None:
        response_id = await world.submit()
        await world.valkey.remove(OTHER)
        await world.resume(response_id, connection_id=OTHER)
        assert await where(world, response_id) == (CONNECTION, 0)

    async def test_an_unstored_response_is_continued_where_it_was_asked_for(
        self, world: World
    ) -> None:
        response_id = await world.submit(store=False)
        await world.resume(response_id, connection_id=OTHER)
        await world.answer(response_id, "hi")
        with pytest.raises(RequestError, match="not found"):
            await world.submit(previous_response_id=response_id, connection_id=OTHER)
        assert await world.submit(previous_response_id=response_id)


class TestIdempotency:
    async def test_the_same_key_is_the_same_response(self, world: World) -> None:
        first = await world.submit(idempotency_key="k", stream_id="a")
        (job,) = world.jobs_sent()
        await world.say(first, "text")
        published = list(world.valkey.published)
        assert await world.submit(idempotency_key="k", stream_id="b") == first
        assert job.response_id == first
        assert world.jobs_sent() == []
        assert world.valkey.published == published
        assert await where(world, first) == (CONNECTION, 0)

    async def test_from_another_connection_it_is_resumed(self, world: World) -> None:
        first = await world.submit(idempotency_key="k")
        await world.say(first, "text")
        assert await world.submit(idempotency_key="k", connection_id=OTHER) == first
        assert await where(world, first) == (OTHER, 0)
        assert world.valkey.published[-1][1] == f"{first} {OTHER} 0 R".encode()

    async def test_also_when_it_has_ended(self, world: World) -> None:
        first = await world.submit(idempotency_key="k")
        await world.answer(first, "text")
        world.jobs_sent()
        assert await world.submit(idempotency_key="k", connection_id=OTHER) == first
        assert await where(world, first) == (OTHER, 0)
        assert world.jobs_sent() == []

    async def test_a_job_that_nobody_has_claimed_is_sent_again(self, world: World) -> None:
        first = await world.submit(idempotency_key="k")
        jobs = world.jobs_sent()
        assert await world.submit(idempotency_key="k") == first
        assert world.jobs_sent() == jobs

    async def test_a_submit_that_died_before_it_sent_the_job(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def die(_job: Job) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(world.jobs, "send", die)
            with pytest.raises(KeyboardInterrupt):
                await world.submit(model=SLEEPING, idempotency_key="k")
        assert (world.jobs_sent(), world.scaler.calls) == ([], 0)
        first = await world.submit(model=SLEEPING, idempotency_key="k", connection_id=OTHER)
        (job,) = world.jobs_sent()
        assert job.response_id == first
        assert world.scaler.calls == 1
        assert await where(world, first) == (OTHER, 0)
        await world.answer(first, "late")
        assert (await world.events(first))[-1]["type"] == "response.completed"

    async def test_a_warm_up_that_died_halfway(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for step in ("claim", "append"):
            with monkeypatch.context() as patch:

                async def die(*_arguments: object, **_options: object) -> None:
                    raise KeyboardInterrupt

                patch.setattr(world.valkey, step, die)
                with pytest.raises(KeyboardInterrupt):
                    await world.submit(generate=False, idempotency_key=step)
            first = await world.submit(generate=False, idempotency_key=step)
            assert (await world.events(first))[-1]["type"] == "response.completed"
        assert world.jobs_sent() == []

    @pytest.mark.parametrize("change", [{"input": "other"}, {"generate": False}, {"store": False}])
    async def test_another_request_under_the_same_key(
        self, world: World, change: dict[str, object]
    ) -> None:
        first = await world.submit(idempotency_key="k")
        world.jobs_sent()
        error = await world.refusal(idempotency_key="k", connection_id=OTHER, **change)
        assert (error.code, error.param) == ("idempotency_key_reused", "idempotency_key")
        assert error.status == 409
        assert await where(world, first) == (CONNECTION, 0)

    async def test_another_tenants_keys_are_others(self, world: World) -> None:
        mine = await world.submit(idempotency_key="k")
        theirs = await world.submit(idempotency_key="k", tenant_id="other", connection_id=OTHER)
        assert mine != theirs
        assert await where(world, mine) == (CONNECTION, 0)
        assert [job.tenant_id for job in world.jobs_sent()] == [TENANT, "other"]

    async def test_tenant_and_key_cannot_be_taken_for_one_another(self, world: World) -> None:
        mine = await world.submit(tenant_id="a", idempotency_key="b c")
        assert await world.submit(tenant_id="a b", idempotency_key="c") != mine

    async def test_a_conversation_that_is_out_of_sight(self, world: World) -> None:
        parent = await world.submit(store=False)
        await world.answer(parent, "hi")
        request: dict[str, Any] = {
            "previous_response_id": parent,
            "store": False,
            "idempotency_key": "k",
        }
        first = await world.submit(**request)
        assert await world.submit(connection_id=OTHER, **request) == first
        assert await where(world, first) == (OTHER, 0)
        world.jobs_sent()
        error = await world.refusal(connection_id=OTHER, **request | {"idempotency_key": "other"})
        assert error.code == "previous_response_not_found"

    async def test_what_was_refused_has_used_no_key(self, world: World) -> None:
        await world.refusal(model="gpt-9", idempotency_key="k")
        assert await world.submit(idempotency_key="k")

    async def test_a_response_that_failed_stays_so(self, world: World) -> None:
        world.jobs.fail_with = UnavailableError("no queue")
        first = await world.submit(idempotency_key="k")
        world.jobs.fail_with = None
        assert await world.submit(idempotency_key="k") == first
        assert await world.status(first) is Status.FAILED
        assert world.jobs_sent() == []

    async def test_a_queue_that_is_away_is_told_and_tried_again(self, world: World) -> None:
        first = await world.submit(idempotency_key="k")
        world.jobs_sent()
        world.jobs.fail_with = UnavailableError("no queue")
        with pytest.raises(UnavailableError):
            await world.submit(idempotency_key="k")
        world.jobs.fail_with = None
        assert await world.submit(idempotency_key="k") == first
        assert len(world.jobs_sent()) == 1

    async def test_after_a_loss_the_key_is_new(self, world: World) -> None:
        first = await world.submit(idempotency_key="k")
        world.valkey.lose()
        await world.valkey.directory.announce((MODEL,), retention_s=100)
        assert await world.submit(idempotency_key="k") != first

    async def test_one_that_is_lost_between_two_looks(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world.submit(idempotency_key="k")
        open_ = world.valkey.open

        async def open_and_lose(*arguments: object) -> object:
            opening = await open_(*arguments)  # type: ignore[arg-type]
            assert opening.outcome is OpenResult.REPEATED
            world.valkey.lose()
            return opening

        monkeypatch.setattr(world.valkey, "open", open_and_lose)
        with pytest.raises(UnavailableError):
            await world.submit(idempotency_key="k")
