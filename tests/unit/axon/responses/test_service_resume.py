"""Responses that a client comes back for by their id."""

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import Status
from axon.exceptions import RequestError, UnavailableError
from axon.formats import UnreadableLogError
from axon.ids import new_id
from axon.responses.terminator import LOST, OVERDUE
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import CONNECTION

OTHER = "connection-2"


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


async def fail_behind_hole(
    harness: ResponseHarness, response_id: str, *, lost: int
) -> tuple[int, int]:
    """Fail a response of which events are lost; return the failure's number and the client's next.

    The relay says how many events the client has, so the failure gets the number after them.
    """
    await harness.say(response_id, "one")
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    harness.valkey.rewind(harness.valkey.snapshot())
    await harness.valkey.heartbeat("relay", lease_s=10_000)
    received = meta.next_sequence + lost
    await harness.valkey.checkpoint(
        response_id,
        DeliveryCheckpoint(received),
        relay_id=meta.relay_id,
        connection_id=meta.connection_id,
    )
    await harness.terminator.end(response_id, Status.CANCELLED)
    last = (await harness.valkey.read(response_id))[-1]
    return last.sequence_number, received


class TestResume:
    async def test_sends_the_next_events_to_the_new_connection(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        attempt = await harness.say(response_id, "one")
        await harness.resume(response_id, starting_after=2, connection_id=OTHER)
        assert await harness.where(response_id) == (OTHER, 3)
        await attempt.complete()
        header = harness.valkey.published[-1][1].partition(b"\n")[0]
        assert header.split(b" ")[1] == OTHER.encode()

    async def test_says_that_only_the_events_of_a_stored_response_are_gone(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        await harness.answer(response_id, "done")
        harness.valkey.lose()
        with pytest.raises(RequestError, match="continue it with previous_response_id") as caught:
            await harness.resume(response_id, starting_after=4, connection_id=OTHER)
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)
        with pytest.raises(RequestError) as caught:
            await harness.resume(response_id, connection_id=OTHER, tenant_id="other")
        assert caught.value.code == "response_not_found"

    async def test_says_that_a_stored_response_has_failed(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.terminator.end(response_id, Status.FAILED, error=OVERDUE)
        harness.valkey.lose()
        with pytest.raises(RequestError, match="send the request again") as caught:
            await harness.resume(response_id, connection_id=OTHER)
        assert caught.value.code == "response_lost"

    async def test_sends_all_events_without_a_number(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.resume(response_id, connection_id=OTHER)
        assert await harness.where(response_id) == (OTHER, 0)

    async def test_sends_the_events_of_an_ended_response(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.answer(response_id, "done")
        last = (await harness.events(response_id))[-1]["sequence_number"]
        await harness.resume(response_id, starting_after=last - 1, connection_id=OTHER)
        with pytest.raises(RequestError) as caught:
            await harness.resume(response_id, starting_after=last, connection_id=OTHER)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "starting_after")

    async def test_refuses_a_number_that_was_never_sent(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        with pytest.raises(RequestError, match="no event 7") as caught:
            await harness.resume(response_id, starting_after=7, connection_id=OTHER)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "starting_after")
        assert caught.value.status == 400
        assert await harness.where(response_id) == (CONNECTION, 0)

    async def test_says_that_an_answer_is_lost_to_a_client_that_has_more_than_the_failed_log(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        await harness.terminator.end(response_id, Status.FAILED, error=LOST)
        last = (await harness.events(response_id))[-1]["sequence_number"]
        with pytest.raises(RequestError, match=LOST["message"]) as caught:
            await harness.resume(response_id, starting_after=last + 1, connection_id=OTHER)
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)

    async def test_says_that_an_answer_is_lost_to_a_client_below_the_hole_before_its_failure(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        (end, received) = await fail_behind_hole(harness, response_id, lost=3)
        assert end == received
        for starting_after in (-1, 1, end - 2):
            with pytest.raises(RequestError) as caught:
                await harness.resume(
                    response_id, starting_after=starting_after, connection_id=OTHER
                )
            assert (caught.value.code, caught.value.status) == ("response_lost", 410)
        await harness.resume(response_id, starting_after=end - 1, connection_id=OTHER)
        assert await harness.where(response_id) == (OTHER, end)
        with pytest.raises(RequestError, match="not found"):
            await harness.resume(response_id, tenant_id="other", connection_id=OTHER)

    async def test_says_that_an_answer_is_lost_to_a_client_whose_last_event_the_failure_replaced(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        await harness.say(response_id, "one")
        harness.valkey.rewind(harness.valkey.snapshot())
        await harness.valkey.heartbeat("relay", lease_s=10_000)
        await harness.terminator.end(response_id, Status.FAILED, error=LOST)
        last = (await harness.valkey.read(response_id))[-1].sequence_number
        with pytest.raises(RequestError) as caught:
            await harness.resume(response_id, starting_after=last, connection_id=OTHER)
        assert (caught.value.code, caught.value.status) == ("response_lost", 410)

    async def test_says_that_a_response_has_ended_to_a_client_that_has_its_failure(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        await harness.terminator.end(response_id, Status.FAILED, error=OVERDUE)
        last = (await harness.valkey.read(response_id))[-1].sequence_number
        with pytest.raises(RequestError) as caught:
            await harness.resume(response_id, starting_after=last, connection_id=OTHER)
        assert caught.value.code == "invalid_value"

    @pytest.mark.parametrize("response_id", ["resp_" + "0" * 32, "x", "resp_\x00", "y" * 64])
    async def test_refuses_an_unknown_response(
        self, harness: ResponseHarness, response_id: str
    ) -> None:
        with pytest.raises(RequestError) as caught:
            await harness.resume(response_id)
        assert (caught.value.code, caught.value.param) == ("response_not_found", "response_id")
        assert caught.value.status == 404

    async def test_refuses_another_tenants_response_as_unknown(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        unknown = new_id("resp")
        messages = []
        for wanted in (response_id, unknown):
            with pytest.raises(RequestError) as caught:
                await harness.resume(wanted, tenant_id="other", connection_id=OTHER)
            messages.append(caught.value.message.replace(wanted, ""))
        assert messages[0] == messages[1]
        assert await harness.where(response_id) == (CONNECTION, 0)

    async def test_is_unavailable_without_a_relay(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.valkey.end_lease("relay")
        with pytest.raises(UnavailableError, match="relay"):
            await harness.resume(response_id, connection_id=OTHER)

    async def test_is_unavailable_while_only_a_newer_version_can_read_the_log(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await harness.submit()
        await harness.valkey.end_lease("relay")  # the answer of `resume` to such a log, too

        async def refuse(response_id: str) -> None:
            raise UnreadableLogError(response_id)

        monkeypatch.setattr(harness.valkey, "describe", refuse)
        with pytest.raises(UnavailableError):
            await harness.resume(response_id, connection_id=OTHER)

    async def test_does_nothing_for_a_closed_connection(self, harness: ResponseHarness) -> None:
        response_id = await harness.submit()
        await harness.valkey.remove(OTHER)
        await harness.resume(response_id, connection_id=OTHER)
        assert await harness.where(response_id) == (CONNECTION, 0)

    async def test_leaves_an_unstored_response_to_its_first_connection(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit(store=False)
        await harness.resume(response_id, connection_id=OTHER)
        await harness.answer(response_id, "hi")
        with pytest.raises(RequestError, match="not found"):
            await harness.submit(previous_response_id=response_id, connection_id=OTHER)
        assert await harness.submit(previous_response_id=response_id)
