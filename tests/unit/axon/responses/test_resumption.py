"""Refusals of `response.resume` beyond the end of a log that has ended."""

import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError
from tests.unit.axon.responses.service_harness import ResponseHarness

OTHER = "connection-2"


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED])
async def test_resumption_says_that_events_are_lost_to_a_client_that_has_more_than_an_ended_log(
    harness: ResponseHarness, status: Status
) -> None:
    response_id = await harness.submit()
    await harness.terminator.end(response_id, status)
    last = (await harness.events(response_id))[-1]["sequence_number"]
    with pytest.raises(RequestError, match="send the request again") as caught:
        await harness.resume(response_id, starting_after=last + 1, connection_id=OTHER)
    assert (caught.value.code, caught.value.status) == ("response_lost", 410)


async def test_resumption_says_that_events_are_lost_where_an_end_has_taken_their_number(
    harness: ResponseHarness,
) -> None:
    response_id = await harness.submit()
    harness.valkey.rewind(harness.valkey.snapshot())
    await harness.valkey.heartbeat("relay", lease_s=10_000)
    await harness.answer(response_id, "done")
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    assert (meta.status, bool(meta.forks)) == (Status.COMPLETED, True)
    with pytest.raises(RequestError, match="send the request again") as caught:
        await harness.resume(
            response_id, starting_after=meta.next_sequence - 1, connection_id=OTHER
        )
    assert (caught.value.code, caught.value.status) == ("response_lost", 410)
