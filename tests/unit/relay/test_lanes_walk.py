"""Random walks: whatever dies or is lost, the responses of a lane are never mixed or swapped."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from axon.event_log.lanes import LanePosition
from axon.event_log.openings import Resumption
from axon.serialization import dumps, loads
from tests.support.virtual_time import run
from tests.unit.relay.log_author_stub import TENANT, Author
from tests.unit.relay.relay_harness import RelayHarness, RelayParts

STEPS = 80
LANES = ("*", "a")


@dataclass
class Asked:
    """A response as its client sees it: where it waits for it, and what it got elsewhere before."""

    author: Author
    lane: str
    connection_id: str
    had: list[bytes] = field(default_factory=list)
    left: set[tuple[str, str]] = field(default_factory=set)


class LanesWalk:
    """Two clients with a connection each, two lanes; relays die, and publications are lost.

    A connection that the server closes is replaced by another one, on which its client resumes what
    it has not received to the end.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.harness = RelayHarness()
        self.asked: dict[str, Asked] = {}
        self.connections = ["c0", "c1"]
        self.order: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.others = 0

    async def walk(self) -> None:
        await self.harness.begin(*self.connections)
        await self.harness.join("relay-b")
        steps = (self.open, self.append, self.append, self.end, self.pump, self.pump)
        rare = (self.change_relay, self.move, self.look, self.halt_relay)
        for _ in range(STEPS):
            await self.random.choice(self.random.choice((steps, steps, steps, rare)))()
            for _ in range(self.random.choice((1, 30))):
                await asyncio.sleep(0)
            await self.come_back()
            self.check()
        await self.settle()

    # Steps

    async def open(self) -> None:
        connection_id, lane = self.random.choice(self.connections), self.random.choice(LANES)
        author = await self.harness.open(connection_id, lane=lane)
        self.asked[owner(author.written[0])] = Asked(author, lane, connection_id)
        self.order[connection_id, lane].append(owner(author.written[0]))

    async def append(self) -> None:
        if running := self.running():
            await self.random.choice(running).author.say("word")

    async def end(self) -> None:
        if running := self.running():
            await self.random.choice(running).author.complete()

    async def pump(self, *, lost: float = 0.2) -> None:
        for relay_id, publication in self.harness._published():
            relay = self.harness.relays.get(relay_id)
            if relay and self.random.random() >= lost:
                relay.dispatcher.receive(publication)

    async def look(self) -> None:
        self.harness.now += 1
        for relay in list(self.harness.relays.values()):
            await relay.lease.beat()
            await relay.reconciler.step()

    async def change_relay(self) -> None:
        await self.replace(self.random.choice(list(self.harness.relays.values())))

    async def halt_relay(self) -> None:
        relay = self.random.choice(list(self.harness.relays.values()))
        await relay.dispatcher.halt()
        await self.replace(relay)

    async def replace(self, relay: RelayParts) -> None:
        self.others += 1
        other = await self.harness.join(f"other-{self.others}")
        await self.harness.kill(relay)
        await self.harness.outlast()
        await other.failover.step()

    async def move(self) -> None:
        """Resume a response on a connection and in a lane where it has not been before."""
        if running := self.running():
            asked, to = self.random.choice(running), self.random.choice(self.connections)
            lane = self.random.choice(LANES)
            if (to, lane) not in {(asked.connection_id, asked.lane), *asked.left}:
                await self.resume(asked, to, lane)

    async def come_back(self) -> None:
        for index, connection_id in enumerate(self.connections):
            if connection_id not in self.harness.connections.deleted:
                continue
            self.connections[index] = to = f"{connection_id}+"
            for asked in self.asked.values():
                if asked.connection_id == connection_id and not self.has_end(asked):
                    await self.resume(asked, to, asked.lane)

    async def resume(self, asked: Asked, to: str, lane: str) -> None:
        got = self.got(asked)
        resumption = await self.harness.valkey.resume(
            asked.author.response_id, tenant_id=TENANT, connection_id=to, first=len(got), lane=lane
        )
        assert resumption is Resumption.RESUMED
        asked.had = got
        asked.left.add((asked.connection_id, asked.lane))
        asked.connection_id, asked.lane = to, lane
        self.order[to, asked.lane].append(owner(asked.author.written[0]))

    # Views

    def running(self) -> list[Asked]:
        return [a for a in self.asked.values() if b"response.completed" not in a.author.written[-1]]

    def posts(self, connection_id: str, lane: str) -> list[bytes]:
        """Return the events that a lane has, without its stream id."""
        posts = map(loads, self.harness.connections.posts[connection_id])
        stream_id = LanePosition(lane).stream_id
        return [
            without_stream(post)
            for post in posts
            if post["type"] != "error" and post.get("stream_id") == stream_id
        ]

    def got(self, asked: Asked) -> list[bytes]:
        own, posts = owner(asked.author.written[0]), self.posts(asked.connection_id, asked.lane)
        return asked.had + [post for post in posts if owner(post) == own]

    def has_end(self, asked: Asked) -> bool:
        got = self.got(asked)
        return bool(got) and b'"response.completed"' in got[-1]

    def check(self) -> None:
        for asked in self.asked.values():
            got = self.got(asked)
            written = asked.author.written[: len(got)]
            assert got == [without_stream(loads(event)) for event in written], "a gap or a repeat"
        for (connection_id, lane), order in self.order.items():
            seen = [owner(post) for post in self.posts(connection_id, lane)]
            turns = [one for n, one in enumerate(seen) if n == 0 or seen[n - 1] != one]
            assert turns == [one for one in order if one in turns], "mixed or swapped"

    async def settle(self) -> None:
        """End all; each client has everything within the time of the reconciler's looks."""
        for asked in self.running():
            await asked.author.complete()
        for _ in range(40):
            await self.pump(lost=0)
            await self.look()
            await asyncio.sleep(1)
            await self.come_back()
            if all(map(self.has_end, self.asked.values())):
                break
        self.check()
        waiting = [a.author.response_id for a in self.asked.values() if not self.has_end(a)]
        assert not waiting, "silence"
        await self.harness.end()


def without_stream(event: dict[str, Any]) -> bytes:
    return dumps({name: value for name, value in event.items() if name != "stream_id"})


def owner(event: bytes) -> str:
    """Return what an event's response and its items have in common."""
    fields = loads(event)
    name = fields.get("response", {}).get("id") or fields.get("item_id") or fields["item"]["id"]
    return str(name).partition("_")[2]


@pytest.mark.parametrize("seed", range(12))
def test_lanes_are_never_mixed_or_swapped(seed: int) -> None:
    run(LanesWalk(seed).walk())
