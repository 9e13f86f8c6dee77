"""ResponseTerminator: ends of logs that a failover has shortened."""

import asyncio
from contextlib import suppress

from axon.event_log.log import JournalRecord, Status
from axon.exceptions import AxonError
from axon.responses.terminator import LOST
from axon.responses.usage import USAGE, input_record
from tests.support.virtual_time import run
from tests.unit.axon.responses.service_harness import ResponseHarness

CLAIMS_EVERY_S = 3.0
"""Seconds after which a job comes again: less than the wait for a confirmation."""


async def shortened(harness: ResponseHarness) -> str:
    """Return a response of whose log the server has lost the newest event."""
    await harness.begin()
    response_id = await harness.submit()
    attempt = await harness.say(response_id, "one ")
    usage = JournalRecord(
        number=0, after=attempt.transcript.next_sequence - 1, kind=USAGE, data=input_record(3)
    )
    await harness.valkey.append(
        response_id, epoch=1, events=[], status=Status.IN_PROGRESS, journal=[usage]
    )
    before = harness.valkey.snapshot()
    await attempt.append(attempt.transcript.delta("two", [1]))
    harness.valkey.rewind(before)
    return response_id


def test_terminator_ends_a_response_that_is_claimed_again_and_again() -> None:
    run(_end_between_claims(ResponseHarness()))


async def _end_between_claims(harness: ResponseHarness) -> None:
    response_id = await shortened(harness)

    async def claim_again_and_again() -> None:
        while True:
            await asyncio.sleep(CLAIMS_EVERY_S)
            with suppress(AxonError):
                await harness.valkey.claim(response_id, message_id="message")

    claims = asyncio.create_task(claim_again_and_again())
    await harness.terminator.end(response_id, Status.CANCELLED)
    claims.cancel()
    assert await harness.status(response_id) is Status.FAILED


def test_terminator_tells_no_usage_of_a_lost_answer() -> None:
    run(_end_without_usage(ResponseHarness()))


async def _end_without_usage(harness: ResponseHarness) -> None:
    response_id = await shortened(harness)
    await harness.terminator.end(response_id, Status.CANCELLED)
    response = (await harness.events(response_id))[-1]["response"]
    assert (response["error"], response["usage"]) == (LOST, None)
