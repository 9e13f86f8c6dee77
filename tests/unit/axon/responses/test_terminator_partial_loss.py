"""ResponseTerminator: ends of logs that a failover has shortened."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from axon.event_log.kept_ends import KeptEnds
from axon.event_log.log import JournalRecord, LostResponse, Status
from axon.exceptions import AxonError, MissingResponseError, UnavailableError
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.responses.terminator import LOST, ResponseTerminator
from axon.responses.usage import USAGE, input_record
from tests.support.virtual_time import run
from tests.unit.axon.responses.service_harness import ResponseHarness

CLAIMS_EVERY_S = 3.0
"""Seconds after which a job comes again: less than the wait for a confirmation."""

AGE_MS = 90_000


@pytest.mark.parametrize("loss", ["end and claim", "all"])
async def test_terminator_appends_an_end_again_that_a_failover_has_lost(loss: str) -> None:
    harness = ResponseHarness()
    await harness.begin()
    response_id = await harness.submit()
    await harness.say(response_id, "one ")
    before = harness.valkey.snapshot()

    async def confirm() -> str:
        return harness.valkey.generation

    ends = KeptEnds(confirm=confirm)
    terminator = ResponseTerminator(
        event_log=harness.valkey,
        finisher=harness.finisher,
        kept_ends=ends,
    )
    await terminator.end(response_id, Status.CANCELLED)
    told = await harness.events(response_id)
    harness.valkey.rewind(before)
    if loss == "all":
        harness.valkey.lose()
    await ends.look()
    assert await harness.events(response_id) == told
    assert await harness.status(response_id) is Status.CANCELLED


async def shortened(harness: ResponseHarness) -> str:
    """Return a response of whose log the server has lost the newest event."""
    await harness.begin()
    response_id = await harness.submit()
    attempt = await harness.say(response_id, "one ")
    usage = JournalRecord(
        number=0,
        after=attempt.transcript.next_sequence - 1,
        kind=USAGE,
        data=input_record(Usage(3)),
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


async def test_terminator_ends_no_log_whose_journal_was_lost_since_its_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its usage was in there: an end without it would count nothing."""
    harness = ResponseHarness()
    await harness.begin()
    response_id = await harness.submit()
    attempt = await harness.say(response_id, "one ")
    usage = JournalRecord(number=0, after=2, kind=USAGE, data=input_record(Usage(3)))
    await harness.valkey.append(
        response_id, epoch=1, events=[], status=Status.IN_PROGRESS, journal=[usage]
    )
    read = harness.valkey.read_journal

    async def lost_once(response_id: str) -> list[JournalRecord]:
        monkeypatch.setattr(harness.valkey, "read_journal", read)
        return []

    monkeypatch.setattr(harness.valkey, "read_journal", lost_once)
    await harness.terminator.end(response_id, Status.CANCELLED)
    response = (await harness.events(response_id))[-1]["response"]
    tokens = len(attempt.transcript.token_ids)
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (3, tokens)


async def test_terminator_that_dies_behind_a_restore_leaves_a_log_with_its_deadline_and_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = ResponseHarness()
    response_id = await shortened(harness)
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    job = Job.decode(meta.job)
    restored: list[LostResponse] = []
    restore = harness.valkey.restore

    async def lose_and_refuse(*_: Any, **__: Any) -> str:
        harness.valkey.lose()
        raise MissingResponseError(response_id)

    async def restore_and_die(response: LostResponse) -> None:
        await restore(response)
        restored.append(response)
        raise UnavailableError("the process dies")

    monkeypatch.setattr("axon.responses.terminator.now_ms", lambda: job.created_ms + AGE_MS)
    monkeypatch.setattr(harness.valkey, "append", lose_and_refuse)
    monkeypatch.setattr(harness.valkey, "restore", restore_and_die)
    journal = await harness.valkey.read_journal(response_id)
    with pytest.raises(UnavailableError):
        await harness.terminator.end(response_id, Status.FAILED)
    (lost,) = restored
    assert (lost.model, lost.job) == (job.model, meta.job)
    assert lost.age_ms == AGE_MS
    assert await harness.valkey.read_journal(response_id) == journal != []
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    assert meta.incomplete
