"""Beats of workers and the messages that they hold: one contract for Valkey and the fake."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
import redis

from axon.adapters.valkey import keys
from axon.adapters.valkey.beats import ValkeyWorkerBeats
from axon.adapters.valkey.client import Valkey
from axon.directory.beats import MOST_SILENT, HeldChange, HeldMessage, WorkerBeats
from axon.testing.worker_beats import FakeWorkerBeats
from tests.contract.conftest import Kind, RepeatingValkey
from tests.support.clients import valkey_client

IDLE = HeldChange(before=0, after=0)
MESSAGES = tuple(HeldMessage(f"receipt-{n}", f"message-{n}") for n in range(7))


@dataclass(frozen=True, kw_only=True)
class BeatsHarness:
    """Beats of workers; `lose` takes everything away."""

    beats: WorkerBeats
    lose: Callable[[], None]
    counts: Iterator[int] = field(default_factory=lambda: count(1))

    async def beat(self, incarnation: str, change: HeldChange = IDLE) -> bool:
        """Beat for a worker; return whether its list was as it knew it."""
        return await self.beats.beat(incarnation, change, count=next(self.counts))

    async def hold(self, incarnation: str, *messages: HeldMessage) -> None:
        """Beat for a worker that holds these messages."""
        assert await self.beat(incarnation, HeldChange(before=None, after=1, added=messages))

    async def taken(self, dead: str, *, by: str, limit: int = 3) -> list[HeldMessage]:
        """Take over all messages of a worker, some at a time."""
        seen = (await self.beats.values())[dead]
        taken: list[HeldMessage] = []
        while batch := await self.beats.take(
            dead,
            seen=seen,
            successor=f"{by} {len(taken)}",
            released=taken[-limit:],
            limit=limit,
        ):
            assert len(batch) <= limit
            seen = f"{by} {len(taken)}"
            taken += batch
        return taken


@pytest.fixture
async def harness(kind: Kind, request: pytest.FixtureRequest) -> AsyncIterator[BeatsHarness]:
    if kind == "fake":
        fake = FakeWorkerBeats()
        yield BeatsHarness(beats=fake, lose=fake.lose)
        return
    url: str = request.getfixturevalue("valkey_url")
    make = RepeatingValkey if kind == "repeated" else Valkey
    async with valkey_client(url, make=make) as valkey:
        with redis.Redis.from_url(url) as admin:
            yield BeatsHarness(
                beats=ValkeyWorkerBeats(valkey=valkey, keep_s=60), lose=admin.flushall
            )


class TestWorkerBeatsBeat:
    async def test_changes_the_workers_own_value(self, harness: BeatsHarness) -> None:
        seen = set()
        for _ in range(5):
            assert await harness.beat("w1")
            assert await harness.beat("w2")
            seen.add((await harness.beats.values())["w1"])
        assert len(seen) == 5
        assert (await harness.beats.values()).keys() == {"w1", "w2"}

    async def test_changes_the_value_that_a_successor_wrote(self, harness: BeatsHarness) -> None:
        await harness.hold("w1", *MESSAGES)
        seen = (await harness.beats.values())["w1"]
        await harness.beats.take("w1", seen=seen, successor="w2 took", limit=2)
        assert (await harness.beats.values())["w1"] == "w2 took"
        assert await harness.beat("w1", HeldChange(before=1, after=1))
        assert (await harness.beats.values())["w1"] not in (seen, "w2 took")
        # The worker is alive: its successor gets nothing more.
        assert not await harness.beats.take("w1", seen="w2 took", successor="w2 2")

    async def test_refuses_a_change_of_a_list_that_was_lost(self, harness: BeatsHarness) -> None:
        await harness.hold("w1", *MESSAGES[:2])
        harness.lose()
        change = HeldChange(before=1, after=2, added=MESSAGES[2:3], removed=["receipt-0"])
        assert not await harness.beat("w1", change)
        whole = HeldChange(before=None, after=3, added=MESSAGES[1:3])
        assert await harness.beat("w1", whole)
        assert sorted_(await harness.taken("w1", by="w2")) == list(MESSAGES[1:3])

    async def test_applies_changes_in_turn(self, harness: BeatsHarness) -> None:
        assert await harness.beat("w1", HeldChange(before=0, after=1, added=MESSAGES[:3]))
        for version in (2, 3, 4):
            change = HeldChange(
                before=version - 1,
                after=version,
                added=[MESSAGES[version + 1]],
                removed=[MESSAGES[version - 2].receipt_handle],
            )
            assert await harness.beat("w1", change)
        assert sorted_(await harness.taken("w1", by="w2")) == list(MESSAGES[3:6])


class TestWorkerBeatsValues:
    async def test_return_the_own_value_and_silent_workers_only(
        self, harness: BeatsHarness
    ) -> None:
        for name in ("silent", "taken", "left"):
            await harness.hold(name, *MESSAGES)
        seen = (await harness.beats.values())["taken"]
        await asyncio.sleep(0.6)
        for name in ("own", "alive"):
            await harness.beat(name)
        await harness.beats.leave("left")
        await harness.beats.take("taken", seen=seen, successor="own 1", limit=2)
        values = await harness.beats.values("own", silent_s=0.5)
        assert values.keys() == {"own", "silent"}
        assert (await harness.beats.values("other", silent_s=0.5)).keys() == {"silent"}

    async def test_return_those_first_that_are_silent_for_longest(
        self, harness: BeatsHarness
    ) -> None:
        for name in ("w2", "w3", "w1", "w2"):
            await harness.beat(name)
            await asyncio.sleep(0.002)
        assert list(await harness.beats.values(limit=2)) == ["w3", "w1"]


class TestWorkerBeatsTake:
    async def test_returns_each_message_once_and_forgets_the_worker(
        self, harness: BeatsHarness
    ) -> None:
        await harness.hold("w1", *MESSAGES)
        await harness.hold("w2", MESSAGES[0])
        assert sorted_(await harness.taken("w1", by="w3")) == list(MESSAGES)
        assert (await harness.beats.values()).keys() == {"w2"}

    async def test_gives_the_messages_to_one_of_many_peers(self, harness: BeatsHarness) -> None:
        await harness.hold("w1", *MESSAGES)
        seen = (await harness.beats.values())["w1"]
        answers = await asyncio.gather(
            *(harness.beats.take("w1", seen=seen, successor=f"p{n} 0") for n in range(5))
        )
        assert [len(answer) for answer in sorted(answers, key=len)] == [0, 0, 0, 0, 7]

    async def test_refuses_a_worker_that_has_beaten_since(self, harness: BeatsHarness) -> None:
        await harness.hold("w1", *MESSAGES)
        seen = (await harness.beats.values())["w1"]
        assert await harness.beat("w1", HeldChange(before=1, after=1))
        assert not await harness.beats.take("w1", seen=seen, successor="w2 0")
        assert "w1" in await harness.beats.values()

    async def test_leaves_the_rest_to_a_peer_if_the_successor_dies(
        self, harness: BeatsHarness
    ) -> None:
        await harness.hold("w1", *MESSAGES)
        seen = (await harness.beats.values())["w1"]
        first = await harness.beats.take("w1", seen=seen, successor="w2 0", limit=3)
        await harness.beats.take("w1", seen="w2 0", successor="w2 1", released=first, limit=3)
        rest = await harness.taken("w1", by="w3")
        assert sorted_([*first, *rest]) == list(MESSAGES)

    async def test_forgets_a_worker_that_held_nothing(self, harness: BeatsHarness) -> None:
        await harness.beat("w1")
        assert await harness.taken("w1", by="w2") == []
        assert await harness.beats.values() == {}

    async def test_forgets_a_worker_that_left(self, harness: BeatsHarness) -> None:
        await harness.hold("w1", MESSAGES[0])
        for _ in range(2):
            await harness.beats.leave("w1")
        assert await harness.beats.values() == {}


async def test_worker_beats_leave_no_key_without_an_expiry(valkey_url: str) -> None:
    async with valkey_client(valkey_url) as valkey:
        beats = ValkeyWorkerBeats(valkey=valkey, keep_s=60)
        await beats.beat("w1", HeldChange(before=0, after=1, added=MESSAGES), count=1)
        await beats.take("w1", seen="1", successor="w2 0", limit=2)
        lives = [await valkey.call("TTL", key) for key in await valkey.call("KEYS", "*")]
        assert len(lives) == 3
        assert all(0 < life <= 3600 for life in lives)


async def test_worker_beats_of_1000_workers_are_not_read_while_they_beat(valkey_url: str) -> None:
    """Each worker reads twice a second: what it gets must not grow with the number of workers."""
    async with valkey_client(valkey_url) as valkey:
        beats = ValkeyWorkerBeats(valkey=valkey, keep_s=60)
        workers = [f"ip-10-0-0-{n}.eu-central-1.compute.internal:{n:08}" for n in range(1000)]
        await asyncio.gather(*(beats.beat(name, IDLE, count=1) for name in workers))
        answer = await beats.values(workers[0], silent_s=60)
        assert sum(map(len, (*answer, *answer.values()))) < 100
        assert len(await beats.values(workers[0])) <= MOST_SILENT + 1, "all are silent"


async def test_worker_beats_return_who_stands_still_after_the_clock_was_set_back(
    valkey_url: str,
) -> None:
    async with valkey_client(valkey_url) as valkey:
        beats = ValkeyWorkerBeats(valkey=valkey, keep_s=60)
        for name in ("dead", "alive"):
            await beats.beat(name, IDLE, count=1)
            await valkey.call("ZINCRBY", keys.BEAT_TIMES, 3_600_000, name)
        await beats.beat("alive", IDLE, count=2)
        assert await beats.values("alive", silent_s=60) == {"alive": "2", "dead": "1"}


def sorted_(messages: list[HeldMessage]) -> list[HeldMessage]:
    return sorted(messages, key=lambda each: each.receipt_handle)
