"""Requests that are sent again under the same idempotency key."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.openings import Opening, OpenResult
from tests.contract.axon.event_log.event_log_samples import NEW, end, open_and_claim, prepare
from tests.contract.conftest import EventLogHarness, MakeHarness

KEYED = replace(NEW, idempotency="key", fingerprint="one")
AGAIN = replace(KEYED, response_id="resp_2")
REPEATED = Opening(OpenResult.REPEATED, "resp_1", "one")


async def test_repeated_request_gets_the_first_response(harness: EventLogHarness) -> None:
    assert await harness.log.open(KEYED) == Opening(OpenResult.OPENED)
    harness.published()
    assert await harness.log.open(AGAIN) == REPEATED
    assert await harness.log.open(replace(AGAIN, connection_id="c2", fingerprint="two")) == REPEATED
    assert await harness.log.describe("resp_2") is None
    assert await harness.log.running_for("c1") == {"resp_1"}
    assert harness.published() == []


async def test_same_response_is_no_repeated_request(harness: EventLogHarness) -> None:
    for _ in range(2):
        assert await harness.log.open(KEYED) == Opening(OpenResult.OPENED)


async def test_requests_with_another_key_or_none_are_not_repeated(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    other = replace(AGAIN, idempotency="other")
    assert (await harness.log.open(other)).outcome is OpenResult.OPENED
    for response_id in ("resp_3", "resp_4"):
        opening = await harness.log.open(replace(NEW, response_id=response_id))
        assert opening.outcome is OpenResult.OPENED


async def test_repeated_request_needs_neither_model_nor_relay(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    await harness.relays.end_lease("r1")
    assert await harness.log.open(replace(AGAIN, model="none")) == REPEATED


async def test_repeated_request_on_a_closed_connection_is_gone(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    await harness.connections.remove("c1")
    assert await harness.log.open(AGAIN) == Opening(OpenResult.GONE)


async def test_refused_request_uses_no_key(harness: EventLogHarness) -> None:
    assert (
        await harness.log.open(replace(KEYED, model="none"))
    ).outcome is OpenResult.UNKNOWN_MODEL
    assert await harness.log.repeated("key") is None
    assert await harness.log.open(AGAIN) == Opening(OpenResult.OPENED)


async def test_concurrent_requests_with_one_key_open_one_response(harness: EventLogHarness) -> None:
    openings = await asyncio.gather(
        *(harness.log.open(replace(KEYED, response_id=f"resp_{number}")) for number in range(20))
    )
    assert [opening.outcome for opening in openings].count(OpenResult.OPENED) == 1
    (first_id,) = {opening.first_id for opening in openings if opening.first_id}
    assert await harness.log.running_for("c1") == {first_id}


async def test_first_response_is_found_without_opening(harness: EventLogHarness) -> None:
    assert await harness.log.repeated("key") is None
    await harness.log.open(KEYED)
    assert await harness.log.repeated("key") == REPEATED
    assert await harness.log.repeated("") is None


class TestIdempotencyKeyLifetime:
    @pytest.fixture
    async def harness(self, make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
        async with make_harness(retention_s=1) as made:
            await prepare(made)
            yield made

    async def test_lasts_as_long_as_the_events(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log, new=KEYED))
        assert await harness.log.open(AGAIN) == REPEATED
        await harness.seconds(1.1)
        assert await harness.log.repeated("key") is None
        assert await harness.log.open(AGAIN) == Opening(OpenResult.OPENED)
        assert await harness.log.repeated("key") == replace(REPEATED, first_id="resp_2")
