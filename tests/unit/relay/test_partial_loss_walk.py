"""Random walks: whatever a failover loses, no client gets a wrong, repeated or mixed stream."""

import asyncio
import random
from contextlib import suppress

import pytest

from axon.event_log.log import Status
from axon.event_log.openings import Resumption
from axon.event_log.publication import Publication
from axon.exceptions import FencedError, MissingResponseError
from axon.protocol.transcript import Transcript
from axon.retry import RetryPolicy
from axon.serialization import loads
from tests.support.virtual_time import run
from tests.unit.relay.log_author_stub import TENANT
from tests.unit.relay.relay_harness import RelayHarness
from worker.event_writer import EventWriter

STEPS = 60
LOST = {"code": "server_error", "message": "lost"}


class Walk:
    """One response, its client, attempts at it, two relays, and failovers that lose the newest.

    Parameters
    ----------
    kept_claims : bool
        A claim that fences off another one waits for a replica, so no failover loses it.
    one_message : bool
        The job has one message, and SQS delivers it once at a time.
    """

    def __init__(self, seed: int, *, kept_claims: bool, one_message: bool) -> None:
        self.kept_claims = kept_claims
        self.one_message = one_message
        self.random = random.Random(seed)
        self.harness = RelayHarness()
        self.attempts: list[tuple[EventWriter, Transcript]] = []
        self.writers: list[EventWriter] = []
        self.snapshots: list[object] = []
        self.late: list[tuple[str, bytes, str]] = []
        self.connections: list[str] = []
        self.refused = False
        self.others = 0

    async def walk(self) -> None:
        await self.harness.begin("c0")
        self.connections.append("c0")
        await self.harness.join("relay-b")
        self.author = await self.harness.open("c0")
        steps = (self.append, self.append, self.append, self.pump, self.pump, self.claim)
        rare = (self.lose, self.lose, self.resume, self.change_relay, self.confirm, self.come_late)
        for _ in range(STEPS):
            self.snapshots = [*self.snapshots[-7:], self.harness.valkey.snapshot()]
            await self.random.choice(self.random.choice((steps, rare)))()
            await self.rest()
            self.check()
        await self.settle()

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def received(self) -> list[bytes]:
        """Return the client's stream: on each connection it asks for what follows."""
        posts = [post for name in self.connections for post in self.harness.connections.posts[name]]
        return [post for post in posts if not post.startswith(b'{"type":"error"')]

    def check(self) -> None:
        got = self.received()
        numbers = [loads(event)["sequence_number"] for event in got]
        assert numbers == list(range(len(got)))
        views = [[event.data for event in writer.events] for writer in self.writers]
        # These follow from the job, so that an attempt which may not go on has sent them, too.
        derived = [event.data for event in self.author._job.transcript().first_events()]
        body = got[:-1] if got and b'"response.failed"' in got[-1] else got
        known = [*views, derived]
        assert any(body == view[: len(body)] for view in known), "a stream of no attempt"

    # Steps

    async def append(self) -> None:
        if not self.attempts:
            return await self.claim()
        writer, transcript = self.random.choice(self.attempts)
        events = transcript.delta(f"{len(self.writers)}:{self.random.random()} ", [1])
        try:
            await writer.append(events)
        except FencedError:
            self.attempts.remove((writer, transcript))
        except MissingResponseError:
            self.attempts.remove((writer, transcript))
            await self.fail()

    async def claim(self) -> None:
        writer = self._writer()
        confirming = asyncio.create_task(self._confirm_later())
        try:
            transcript = await writer.claim(untouched=self._first_receive())
        except FencedError:
            return
        except MissingResponseError:
            await self.fail()
            return
        finally:
            confirming.cancel()
        self.writers.append(writer)
        self.attempts.append((writer, transcript))
        if self.kept_claims and writer.claimed.predecessor:
            self.snapshots = [self.harness.valkey.snapshot()]

    async def fail(self) -> None:
        with suppress(FencedError, MissingResponseError):
            await self._writer().fail_lost(self.author._job.transcript(), LOST)

    async def lose(self) -> None:
        valkey = self.harness.valkey
        published = valkey.published[self.harness._pumped :]
        if self.random.random() < 0.5:
            self.late += [(*each, valkey.generation) for each in published]
        self.harness.lose()
        # A server has what it had up to some moment of its own history, never of an abandoned one.
        self.snapshots = self.snapshots[: self.random.randint(1, len(self.snapshots))]
        valkey.rewind(self.snapshots[-1])
        for relay in self.harness.relays.values():
            await relay.lease.beat()

    async def come_late(self) -> None:
        """Give relays what the lost server had published."""
        for relay_id, payload, generation in self.late:
            if relay := self.harness.relays.get(relay_id):
                relay.dispatcher.receive(Publication.decode(payload, generation=generation))
        self.late.clear()

    async def pump(self) -> None:
        if self.random.random() < 0.1:
            self.harness.lose()
        self.harness.pump()

    async def confirm(self) -> None:
        for relay in self.harness.relays.values():
            relay.dispatcher.confirm_all()

    async def resume(self) -> None:
        if self.ended():
            return
        name = f"c{len(self.connections)}"
        resumption = await self.harness.valkey.resume(
            self.author.response_id,
            tenant_id=TENANT,
            connection_id=name,
            first=len(self.received()),
        )
        if resumption is Resumption.RESUMED:
            # What is still posted to the former connection reaches nobody.
            self.harness.connections.hang_up(self.connections[-1])
            self.connections.append(name)
        elif resumption is Resumption.AHEAD:
            self.refused = True

    async def change_relay(self) -> None:
        relay = self.random.choice(list(self.harness.relays.values()))
        self.others += 1
        other = await self.harness.join(f"other-{self.others}")
        await self.harness.kill(relay)
        for _ in range(3):
            await self.harness.outlast()
        await other.failover.step()

    async def _confirm_later(self) -> None:
        """Relays look each second; sometimes they are too busy."""
        while self.random.random() < 0.7:
            await asyncio.sleep(1)
            await self.confirm()
        await asyncio.Event().wait()

    def _first_receive(self) -> bool:
        """Return whether an attempt's message is received for the first time, which proves nothing.

        A job may have several messages: its client repeats an idempotency key, or SQS delivers one
        message twice.
        """
        return not self.writers or (not self.one_message and self.random.random() < 0.5)

    def _writer(self) -> EventWriter:
        return EventWriter(
            job=self.author._job,
            message_id="m",
            receive_count=1 if not self.writers else 2,
            log=self.harness.valkey,
            forgotten_s=1e9,
            retry=RetryPolicy(max_attempts=3),
            clock_ms=lambda: self.author._job.created_ms,
        )

    async def settle(self) -> None:
        """End the response; the client comes back until it has the end or is refused."""
        with suppress(FencedError, MissingResponseError):
            writer = self._writer()
            try:
                transcript = await writer.claim(untouched=self._first_receive())
            except MissingResponseError:
                await self.fail()
            else:
                self.writers.append(writer)
                events = [*transcript.close_message(), transcript.end(Status.COMPLETED)]
                await writer.append(events, status=Status.COMPLETED)
        for _ in range(12):
            await self.confirm()
            self.harness.pump()
            for relay in self.harness.relays.values():
                await relay.reconciler.step()
            self.harness.now += 1
            for relay in self.harness.relays.values():
                await relay.lease.beat()
            await asyncio.sleep(1)
            self.check()
            # A resumption that was lost before a relay had received it leaves nobody who knows of
            # the connection: only the client's own timeout helps (ADR 11, "What stays").
            meta = await self.harness.valkey.describe(self.author.response_id)
            unknown = meta is not None and meta.connection_id != self.connections[-1]
            if unknown or self.connections[-1] in self.harness.connections.deleted:
                await self.resume()
        assert self.refused or self.ended(), "silence"
        await self.harness.end()

    def ended(self) -> bool:
        got = self.received()
        return bool(got) and loads(got[-1])["type"] in ("response.completed", "response.failed")


TWO_ALIVE = [195, 274, 314, 341, 505]
"""Two attempts live at once, and a failover that could lose the newer one's claim would give the
client, which has events of both, a stream of no attempt."""
LATE = [303, 984, 1321]
"""The publication of a resumption comes after the delivery was found in the log, or has ended."""


@pytest.mark.parametrize("seed", [seed for seed in range(41) if seed not in (5,)])
def test_client_gets_no_wrong_stream_whatever_failovers_lose(seed: int) -> None:
    run(Walk(seed, kept_claims=False, one_message=False).walk())


@pytest.mark.parametrize("seed", [*range(41, 61), *TWO_ALIVE, *LATE])
def test_client_gets_no_wrong_stream_where_later_claims_are_kept(seed: int) -> None:
    run(Walk(seed, kept_claims=True, one_message=True).walk())
