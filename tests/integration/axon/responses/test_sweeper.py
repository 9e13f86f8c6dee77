"""Sweeps of real indexes: thousands at once, two relays, fields that the version before omits."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from typing_extensions import override

from axon.adapters.aws.sqs import SqsHistorySender
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.event_log.due import DueReason
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.openings import NewResponse, OpenResult
from axon.exceptions import UnavailableError
from axon.history import HistorySender
from axon.jobs import Job
from axon.protocol.transcript import Transcript
from axon.responses.finisher import ResponseFinisher
from axon.responses.sweeper import ResponseSweeper
from axon.responses.terminator import ResponseTerminator
from axon.testing.stores import FakeHistory, FakeTurns
from tests.support.clients import valkey_client
from tests.support.principals import a_principal
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import MODEL, TENANT, a_job

CONNECTION = "c1"
OVERDUE_AT_ONCE = Deadlines(no_worker_s=0.001, queue_s=0.001, no_progress_s=120)


class SweeperHarness:
    """Two relays' sweepers, each with its own connection, over one Valkey."""

    def __init__(
        self,
        valkeys: Sequence[Valkey],
        *,
        deadlines: Deadlines,
        sender: HistorySender | None = None,
    ) -> None:
        self.valkey = valkeys[0]
        self.history = FakeHistory()
        self._sender = sender or self.history
        self.turns = FakeTurns()
        self.log = self._log(self.valkey, deadlines)
        self.sweepers = [self._sweeper(valkey, deadlines) for valkey in valkeys]
        self.index = self._index(self.valkey, deadlines)

    async def begin(self) -> None:
        await ValkeyModelDirectory(valkey=self.valkey).register((MODEL,), retention_s=600)
        await ValkeyRelayDirectory(valkey=self.valkey).heartbeat("r1", lease_s=600)
        await ValkeyConnectionDirectory(valkey=self.valkey).register(
            CONNECTION, principal=a_principal(TENANT)
        )

    async def open(self, job: Job | None = None) -> Job:
        job = job or a_job()
        opening = await self.log.open(
            NewResponse(
                response_id=job.response_id,
                tenant_id=job.tenant_id,
                connection_id=CONNECTION,
                model=MODEL,
                job=job.encode(),
                created=job.transcript().created().data,
            )
        )
        assert opening.outcome is OpenResult.OPENED
        return job

    async def say(self, job: Job, text: str) -> tuple[int, Transcript]:
        """Claim the response as a worker and append some text; return epoch and transcript."""
        transcript = job.transcript()
        transcript.created()
        claim = await self.log.claim(
            job.response_id, in_progress=transcript.in_progress().data, message_id="m"
        )
        await self.append(job, claim.epoch, transcript.delta(text, [1, 2]))
        return claim.epoch, transcript

    async def append(self, job: Job, epoch: int, events: Sequence[LoggedEvent]) -> None:
        await self.log.append(job.response_id, epoch=epoch, events=events)

    async def sweep(self) -> int:
        return sum(await asyncio.gather(*(each.end_overdue() for each in self.sweepers)))

    async def field(self, job: Job, name: str) -> bytes | None:
        value: bytes | None = await self.valkey.call("HGET", keys.response(job.response_id), name)
        return value

    async def is_due(self, job: Job) -> None:
        """Make the index look at a response in the next sweep."""
        await self.valkey.call("ZADD", keys.DEADLINES, 1, job.response_id)

    def _log(self, valkey: Valkey, deadlines: Deadlines) -> ValkeyEventLog:
        return ValkeyEventLog(
            valkey=valkey, deadlines=deadlines, retention_s=300, resume_window_s=60
        )

    def _index(self, valkey: Valkey, deadlines: Deadlines) -> ValkeyDueIndex:
        return ValkeyDueIndex(valkey=valkey, deadlines=deadlines, retention_s=300)

    def _sweeper(self, valkey: Valkey, deadlines: Deadlines) -> ResponseSweeper:
        terminator = ResponseTerminator(
            event_log=self._log(valkey, deadlines),
            finisher=ResponseFinisher(history=self._sender, turns=self.turns),
        )
        return ResponseSweeper(index=self._index(valkey, deadlines), terminator=terminator)


@pytest.fixture
async def stack(valkey_url: str) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def a_harness(
    stack: AsyncExitStack, url: str, deadlines: Deadlines = OVERDUE_AT_ONCE
) -> SweeperHarness:
    valkeys = [await stack.enter_async_context(valkey_client(url)) for _ in range(2)]
    harness = SweeperHarness(valkeys, deadlines=deadlines)
    await harness.begin()
    return harness


async def test_sweepers_end_thousands_at_once_each_exactly_once(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    harness = await a_harness(stack, valkey_url)
    jobs = [a_job() for _ in range(1000)]
    for start in range(0, len(jobs), 500):
        await asyncio.gather(*map(harness.open, jobs[start : start + 500]))
    began = time.monotonic()
    taken = await harness.sweep()
    # The aim is 10 s for 20,000 on two cores (benchmarks/RESULTS.md); this is for a busy machine.
    assert time.monotonic() - began < 20
    assert taken == len(jobs)
    metas = await asyncio.gather(*(harness.log.describe(job.response_id) for job in jobs))
    # One claim each: no relay has fenced the other off.
    ends = Counter((meta.status, meta.epoch, meta.next_sequence) for meta in metas if meta)
    assert ends == {(Status.FAILED, 1, 2): len(jobs)}
    assert len(harness.history.records) == len(jobs)
    assert await harness.valkey.call("EXISTS", keys.DEADLINES) == 0


class CountingValkey(Valkey):
    """Counts its commands."""

    commands = 0

    @override
    async def call(self, *command: Any) -> Any:
        self.commands += 1
        return await super().call(*command)


class CountingSqs:
    """An SQS that accepts everything at once, and counts requests and messages."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def call(self, operation: str, *, Entries: Sequence[object]) -> dict[str, Any]:  # noqa: N803
        assert operation == "SendMessageBatch"
        self.batches.append(len(Entries))
        await asyncio.sleep(0.005)
        return {}


async def test_sweeper_ends_each_response_with_two_commands_and_a_tenth_of_a_request(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    valkey = await stack.enter_async_context(valkey_client(valkey_url, make=CountingValkey))
    assert isinstance(valkey, CountingValkey)
    sqs = CountingSqs()
    sender = SqsHistorySender(api=cast("SqsApi", sqs))
    harness = SweeperHarness([valkey], deadlines=OVERDUE_AT_ONCE, sender=sender)
    await harness.begin()
    await asyncio.gather(*(harness.open() for _ in range(100)))
    await harness.sweep()  # loads the scripts
    await asyncio.gather(*(harness.open() for _ in range(100)))
    valkey.commands, sqs.batches = 0, []
    assert await harness.sweep() == 100
    assert sum(sqs.batches) == 100
    # A claim and an append each; three takes, and one that finds nothing more.
    assert valkey.commands <= 2 * 100 + 6
    assert len(sqs.batches) <= 15


async def test_sweeper_goes_on_after_ends_that_failed(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    limited = Deadlines(hard_limit_s=0.001)
    harness = await a_harness(stack, valkey_url, limited)
    job = await harness.open()
    await harness.say(job, "some")
    harness.history.fail_with = UnavailableError("no queue")
    assert await harness.sweep() == 1
    meta = await harness.log.describe(job.response_id)
    assert meta is not None
    assert meta.status is Status.IN_PROGRESS
    harness.history.fail_with = None
    await harness.is_due(job)  # its lease has ended
    assert await harness.sweep() == 1
    decoded = validate_stream(await harness.log.read(job.response_id))
    assert decoded[-1]["response"]["status"] == "incomplete"


async def test_hard_limit_ends_incomplete_and_can_be_continued(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    harness = await a_harness(stack, valkey_url, Deadlines(hard_limit_s=0.001))
    job = await harness.open()
    await harness.say(job, "one two")
    assert await harness.sweep() == 1
    last = validate_stream(await harness.log.read(job.response_id))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["error"] is None
    (item,) = last["response"]["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "one two")
    assert harness.turns.turns[job.response_id].output == last["response"]["output"]
    assert harness.history.records[job.response_id].response == last["response"]


async def test_sweeper_keeps_the_log_of_what_has_not_ended(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    harness = await a_harness(stack, valkey_url, Deadlines(no_progress_s=0.4))
    job = await harness.open()
    epoch, transcript = await harness.say(job, "some")
    names = (keys.response(job.response_id), keys.events(job.response_id))
    for name in names:
        await harness.valkey.call("EXPIRE", name, 5)
    await harness.is_due(job)
    assert await harness.sweep() == 0  # it has made progress
    lives = [await harness.valkey.call("TTL", name) for name in names]
    assert min(lives) > 600
    for name in names:
        await harness.valkey.call("EXPIRE", name, 5)
    await harness.valkey.call("HSET", names[0], "move_at_ms", 1)
    await harness.append(job, epoch, transcript.delta("more", [3]))
    assert await harness.valkey.call("TTL", names[1]) > 600


async def test_sweeper_takes_nothing_for_a_while_after_an_outage(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    harness = await a_harness(stack, valkey_url)
    assert await harness.sweep() == 0
    job = await harness.open()
    state = keys.sweeps(keys.DEADLINES)
    now = await harness.valkey.now_ms()
    await harness.valkey.call("HSET", state, "swept", now - 11_000)
    await harness.is_due(job)
    assert await harness.sweep() == 0
    assert await harness.sweep() == 0
    await harness.valkey.call("HSET", state, "resumes", now - 1)
    assert await harness.sweep() == 1


async def test_sweeper_cancels_nothing_for_a_while_after_a_failover(
    stack: AsyncExitStack, valkey_url: str
) -> None:
    harness = await a_harness(stack, valkey_url)
    assert await harness.sweepers[0].end_abandoned() == 0
    job = await harness.open()
    state = keys.sweeps(keys.ABANDONED)
    now = await harness.valkey.now_ms()
    # The server that is reached from here on may have lost that the client had resumed.
    assert await harness.valkey.call("HSET", state, "generation", "lost") == 0
    await harness.valkey.call("ZADD", keys.ABANDONED, now - 1, job.response_id)
    assert await harness.sweepers[0].end_abandoned() == 0
    assert await harness.sweepers[1].end_abandoned() == 0
    await harness.is_due(job)
    assert await harness.sweep() == 1  # a deadline does not wait
    late = await harness.open()
    await harness.valkey.call("ZADD", keys.ABANDONED, now - 1, late.response_id)
    await harness.valkey.call("HSET", state, "resumes", now - 1)
    assert await harness.sweepers[0].end_abandoned() == 1


class TestVersionBefore:
    """Fields that functions and workers of commit 324e65d do not write."""

    async def test_response_of_its_function_has_the_time_in_the_queue(
        self, stack: AsyncExitStack, valkey_url: str
    ) -> None:
        harness = await a_harness(stack, valkey_url, Deadlines(queue_s=600))
        job = await harness.open()
        now = await harness.valkey.now_ms()
        await harness.valkey.call(
            "HDEL", keys.response(job.response_id), "opened_ms", "deadlines", "model"
        )
        # Its entry is the deadline itself: acceptance and 600 s.
        await harness.valkey.call("ZADD", keys.DEADLINES, now - 1, job.response_id)
        (due,) = (await harness.index.take_overdue(limit=9)).due
        assert due.reason is DueReason.QUEUE

    async def test_appends_of_its_worker_count_as_progress(
        self, stack: AsyncExitStack, valkey_url: str
    ) -> None:
        harness = await a_harness(stack, valkey_url, Deadlines(no_progress_s=0.3))
        job = await harness.open()
        await harness.say(job, "some")
        await asyncio.sleep(0.32)
        # Its append writes the number and nothing of the progress.
        await harness.valkey.call("HINCRBY", keys.response(job.response_id), "next_sequence", 1)
        await harness.is_due(job)
        assert (await harness.index.take_overdue(limit=9)).due == []
        await asyncio.sleep(0.32)
        (due,) = (await harness.index.take_overdue(limit=9)).due
        assert due.reason is DueReason.NO_PROGRESS

    async def test_its_relay_finds_no_running_response_overdue(
        self, stack: AsyncExitStack, valkey_url: str
    ) -> None:
        """It ends what has a score of now or less: an append keeps the entry ahead of that."""
        harness = await a_harness(stack, valkey_url, Deadlines())
        job = await harness.open()
        await harness.is_due(job)
        await harness.say(job, "some")
        assert await harness.log.overdue() == []
