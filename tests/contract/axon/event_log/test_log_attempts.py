"""The budget of attempts in the log: what claims count, and what notes change."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
import redis

from axon.adapters.valkey import keys as keys_of
from axon.adapters.valkey.attempts import ValkeyAttemptNotes
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.event_log.attempts import AttemptNote, AttemptNotes
from axon.event_log.log import Claim, JournalRecord, LoggedEvent
from axon.exceptions import FencedError, MissingResponseError
from axon.testing.event_log import FakeValkey
from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness, Kind, RepeatingValkey
from tests.support.clients import valkey_client

ID = NEW.response_id


@dataclass(frozen=True, kw_only=True)
class BudgetHarness:
    """A log with one response, which worker "w1" claims.

    `die` and `beat` say whether a worker beats, `register` whether "w1" is registered.
    """

    log: EventLogHarness
    notes: AttemptNotes
    beat: Callable[[str], Awaitable[None]]
    die: Callable[[str], Awaitable[None]]
    register: Callable[[bool], None]

    async def claim(self, message_id: str = "m") -> Claim:
        return await self.log.log.claim(ID, in_progress=b"in_progress", message_id=message_id)

    async def attempts(self, count: int, *notes: AttemptNote) -> list[int]:
        """Claim several times, each with these notes; return what the claims counted."""
        counted = []
        for _ in range(count):
            claim = await self.claim()
            counted.append(claim.attempts)
            for note in notes:
                await self.note(note, claim)
        return counted

    async def note(self, note: AttemptNote, claim: Claim, *, incarnation: str = "w1") -> None:
        await self.notes.note(ID, note, epoch=claim.epoch, incarnation=incarnation)

    async def append(self, claim: Claim) -> None:
        await self.log.log.append(
            ID, epoch=claim.epoch, events=[LoggedEvent(claim.next_sequence, b"e")]
        )


@pytest.fixture
async def budget(
    harness: EventLogHarness, kind: Kind, request: pytest.FixtureRequest
) -> AsyncIterator[BudgetHarness]:
    await harness.log.open(NEW)
    if isinstance(fake := harness.log, FakeValkey):

        async def beat(incarnation: str) -> None:
            fake.dead_workers.discard(incarnation)

        async def die(incarnation: str) -> None:
            fake.dead_workers.add(incarnation)

        def register(alive: bool) -> None:
            fake.registered_workers = {"w1"} if alive else set()

        fake.worker_id = "w1"
        yield BudgetHarness(
            log=harness, notes=fake.attempt_notes, beat=beat, die=die, register=register
        )
        return
    url: str = request.getfixturevalue("valkey_url")
    make = RepeatingValkey if kind == "repeated" else Valkey
    async with valkey_client(url, make=make) as valkey:
        with redis.Redis.from_url(url) as admin:

            async def set_beat(incarnation: str) -> None:
                admin.hset(keys_of.BEATS, incarnation, "7")

            async def take(incarnation: str) -> None:
                admin.hset(keys_of.BEATS, incarnation, "taken w2 9")

            def set_lease(alive: bool) -> None:
                until_s = time.time() + (60 if alive else -60)
                admin.zadd(keys_of.WORKERS, {"w1": int(until_s * 1000)})

            log = ValkeyEventLog(
                valkey=valkey,
                deadlines=Deadlines(),
                retention_s=300,
                resume_window_s=60,
                worker_id="w1",
            )
            yield BudgetHarness(
                log=replace(harness, log=log),
                notes=ValkeyAttemptNotes(valkey=valkey),
                beat=set_beat,
                die=take,
                register=set_lease,
            )


async def test_log_counts_claims_of_attempts_without_progress(budget: BudgetHarness) -> None:
    assert await budget.attempts(4) == [1, 2, 3, 4]


async def test_log_begins_to_count_again_when_it_has_grown(budget: BudgetHarness) -> None:
    assert await budget.attempts(2) == [1, 2]
    claim = await budget.claim()
    await budget.append(claim)
    assert await budget.attempts(2) == [1, 2]
    claim = await budget.claim()
    assert claim.attempts == 3
    record = JournalRecord(number=0, after=1, kind="k", data=b"d")
    await budget.log.log.append(ID, epoch=claim.epoch, events=[], journal=[record])
    assert await budget.attempts(2) == [1, 2]


async def test_log_counts_no_claim_from_outside_an_attempt(budget: BudgetHarness) -> None:
    assert await budget.attempts(1) == [1]
    outside = await budget.log.log.claim(ID)
    assert (outside.attempts, outside.died_alone) == (1, False)
    assert await budget.attempts(1) == [2]


async def test_log_counts_no_attempt_that_ended_without_a_fault(budget: BudgetHarness) -> None:
    assert await budget.attempts(5, AttemptNote.RELEASED) == [1, 1, 1, 1, 1]
    assert await budget.attempts(2) == [1, 2]
    assert await budget.attempts(2, AttemptNote.RELEASED) == [3, 3]


async def test_log_counts_a_released_attempt_that_begins_after_its_wait(
    budget: BudgetHarness,
) -> None:
    waited = (AttemptNote.RELEASED, AttemptNote.IN_COMPANY)
    assert await budget.attempts(3, *waited) == [1, 2, 3]


async def test_log_counts_no_duplicate_of_a_job_while_the_worker_before_is_registered(
    budget: BudgetHarness,
) -> None:
    budget.register(True)
    duplicates = [await budget.claim(message_id) for message_id in ("m", "d1", "d2", "d3")]
    assert [claim.attempts for claim in duplicates] == [1, 1, 1, 1]
    # The same message comes again because its worker has died or has released it.
    assert (await budget.claim("d3")).attempts == 2
    budget.register(False)
    assert (await budget.claim("d4")).attempts == 3


async def test_log_condemns_who_died_alone_until_the_log_grows(budget: BudgetHarness) -> None:
    await budget.beat("w1")
    await budget.note(AttemptNote.ALONE, await budget.claim())
    await budget.die("w1")
    for _ in range(2):  # the first claimant may die before it has ended the response
        claim = await budget.claim()
        assert claim.died_alone
    await budget.append(claim)
    claim = await budget.claim()
    assert (claim.attempts, claim.died_alone) == (1, False)


async def test_log_condemns_an_attempt_that_failed_alone_on_a_live_worker(
    budget: BudgetHarness,
) -> None:
    await budget.beat("w1")
    claim = await budget.claim()
    await budget.note(AttemptNote.ALONE, claim)
    await budget.note(AttemptNote.FAILED, claim)
    assert (await budget.claim()).died_alone


@pytest.mark.parametrize(
    ("alive", "message_id", "last"),
    [
        (True, "m", AttemptNote.ALONE),
        (False, "duplicate", AttemptNote.ALONE),
        (False, "m", AttemptNote.RELEASED),
        (False, "m", AttemptNote.IN_COMPANY),
    ],
    ids=["alive", "duplicate", "released", "in company"],
)
async def test_log_condemns_nobody_for_another_reason(
    budget: BudgetHarness, alive: bool, message_id: str, last: AttemptNote
) -> None:
    await budget.beat("w1")
    claim = await budget.claim()
    for note in (AttemptNote.ALONE, last):
        await budget.note(note, claim)
    if not alive:
        await budget.die("w1")
    assert not (await budget.claim(message_id)).died_alone
    await budget.die("w1")
    assert not (await budget.claim(message_id)).died_alone


async def test_log_refuses_the_note_of_a_fenced_attempt(budget: BudgetHarness) -> None:
    first, second = await budget.claim(), await budget.claim()
    for note in AttemptNote:
        with pytest.raises(FencedError):
            await budget.note(note, first)
    await budget.note(AttemptNote.RELEASED, second)
    with pytest.raises(MissingResponseError):
        await budget.notes.note("resp_0", AttemptNote.ALONE, epoch=1, incarnation="w1")
