"""All that can happen to responses: workers, clients, relays and Valkey come, go and fail."""

import asyncio
from dataclasses import dataclass, field

from hypothesis.stateful import RuleBasedStateMachine

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import JournalRecord, LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse, OpenResult, Resumption
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from tests.contract.axon.event_log.delivery_model import TENANT, Clients, ModelRelay, resume
from tests.contract.conftest import MakeHarness

RELAYS = ("ra", "rb", "rc")


@dataclass
class Attempt:
    """A worker's attempt: the events that it holds, those of its last append among them."""

    response_id: str
    connection_id: str
    epoch: int
    events: list[LoggedEvent]
    last: list[LoggedEvent] = field(default_factory=list)
    journal: list[JournalRecord] = field(default_factory=list)
    last_records: list[JournalRecord] = field(default_factory=list)
    status: Status = Status.IN_PROGRESS


class EventLogModel(RuleBasedStateMachine):
    """`truth` is what the logs must hold, `epochs` the last claim of each response."""

    def __init__(self, make_harness: MakeHarness) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.context = make_harness(resume_window_s=0.0)
        self.harness = self.runner.run(self.context.__aenter__())
        self.harness.lose()
        self.truth: dict[str, list[LoggedEvent]] = {}
        self.journals: dict[str, list[JournalRecord]] = {}
        self.epochs: dict[str, int] = {}
        self.ended: set[str] = set()
        self.lost: set[str] = set()
        self.attempts: list[Attempt] = []
        self.connections = 0
        self.clients = Clients()
        self.relays = {
            name: ModelRelay(name, harness=self.harness, clients=self.clients) for name in RELAYS
        }

    def teardown(self) -> None:
        try:
            if not self.lost:
                self.runner.run(self.settle())
        finally:
            self.runner.run(self.context.__aexit__(None, None, None))
            self.runner.close()

    def relay(self, pick: int) -> ModelRelay:
        return self.relays[RELAYS[pick % len(RELAYS)]]

    def running(self) -> list[ModelRelay]:
        return [relay for relay in self.relays.values() if relay.state == "running"]

    def there(self) -> list[str]:
        return [key for key in self.truth if key not in self.lost]

    def new_connection(self) -> str:
        self.connections += 1
        return f"c{self.connections}"

    async def _announce(self) -> None:
        await self.harness.models.register(("echo",), retention_s=600)

    async def _open(self, response_id: str, connection_id: str) -> None:
        new = NewResponse(
            response_id=response_id,
            tenant_id=TENANT,
            connection_id=connection_id,
            model="echo",
            job=b"job",
            created=b"created",
        )
        opening = await self.harness.log.open(new)
        if opening.outcome is OpenResult.OPENED:
            self.truth[response_id] = [LoggedEvent(0, b"created")]
            self.journals[response_id] = []
            self.epochs[response_id] = 0
            self.clients.wait(response_id, connection_id)
            await self._offer(response_id, first=0)
        else:
            assert opening.outcome is OpenResult.NO_RELAY
            assert connection_id

    async def _offer(self, response_id: str, *, first: int) -> None:
        """Pass what was just published to the relay, also to a stopped one: it reads it later."""
        meta = await self.harness.log.describe(response_id)
        assert meta is not None
        if meta.followed:
            return
        relay = self.relays[meta.relay_id]
        if relay.state != "dead" and meta.checkpoint == DeliveryCheckpoint(
            first, TailState.GRANTED
        ):
            relay.hear(response_id, meta.connection_id, first)

    async def _append(self, attempt: Attempt, *, heard: bool) -> None:
        response_id = attempt.response_id
        newest = attempt.epoch == self.epochs[response_id]
        try:
            attempt.connection_id = await self.harness.log.append(
                response_id,
                epoch=attempt.epoch,
                events=attempt.last,
                status=attempt.status,
                journal=attempt.last_records,
            )
        except FencedError:
            assert not newest or (response_id in self.ended and not attempt.status.terminal)
            self.attempts.remove(attempt)
        except MissingResponseError:
            assert response_id in self.lost
            if newest:
                await self._restore(attempt)
            else:
                self.attempts.remove(attempt)
        else:
            assert newest
            assert attempt.connection_id == self.clients.waits_at[response_id]
            if heard and attempt.last and self.truth[response_id] != attempt.events:
                await self._offer(response_id, first=attempt.last[0].sequence_number)
            self._note(attempt)

    async def _restore(self, attempt: Attempt) -> None:
        response = LostResponse(
            response_id=attempt.response_id,
            tenant_id=TENANT,
            connection_id=attempt.connection_id,
            job=b"job",
            age_ms=0,
            epoch=attempt.epoch,
            events=attempt.events,
            status=attempt.status,
            journal=attempt.journal,
        )
        try:
            await self.harness.log.restore(response)
        except UnavailableError:
            assert not self.running()
            assert attempt.connection_id
            return
        self.lost.discard(attempt.response_id)
        self._note(attempt)

    def _note(self, attempt: Attempt) -> None:
        self.truth[attempt.response_id] = list(attempt.events)
        self.journals[attempt.response_id] = list(attempt.journal)
        if attempt.status.terminal:
            self.ended.add(attempt.response_id)

    async def _end(self, response_id: str) -> None:
        try:
            claim = await self.harness.log.claim(response_id)
        except FencedError:
            assert response_id in self.ended
            return
        truth = self.truth[response_id]
        final = LoggedEvent(len(truth), b"end")
        await self.harness.log.append(
            response_id, epoch=claim.epoch, events=[final], status=Status.FAILED
        )
        truth.append(final)
        self.epochs[response_id] = claim.epoch
        self.ended.add(response_id)

    async def _cancel_abandoned(self) -> None:
        for response_id in await self.harness.log.abandoned():
            meta = await self.harness.log.describe(response_id)
            assert meta is not None
            assert not self.clients.is_open(
                meta.connection_id
            ) or meta.checkpoint == DeliveryCheckpoint(0, TailState.IN_DOUBT)
            await self._end(response_id)

    async def _disconnect(self, connection_id: str) -> None:
        await self.harness.connections.remove(connection_id)
        await self.harness.log.abandon(connection_id)

    async def _resume(self, response_id: str, *, heard: bool) -> None:
        resumption = await resume(
            response_id,
            self.new_connection(),
            harness=self.harness,
            clients=self.clients,
            relays=self.relays,
            heard=heard,
        )
        match resumption:
            case Resumption.MISSING:
                assert response_id in self.lost
            case Resumption.AHEAD:
                complete = self.truth[response_id] == self.clients.received[response_id]
                assert response_id in self.ended
                assert complete
            case Resumption.NO_RELAY:
                assert not self.running()

    def under_way(self) -> list[tuple[ModelRelay, str]]:
        return [(relay, key) for relay in self.running() for key in relay.deliveries]

    async def _deliver(self, relay: ModelRelay, count: int) -> bool:
        went_on = False
        for response_id in list(relay.deliveries):
            for _ in range(count):
                if response_id not in relay.deliveries or not await relay.step(response_id):
                    break
                went_on = True
        return went_on

    async def _take_over(self, adopter: ModelRelay, *, limit: int, dies: bool) -> None:
        for victim in await self.harness.relays.expired():
            if dies:
                await self.harness.relays.take_over(victim, successor_id=adopter.name, limit=limit)
                await adopter.halt(dead=True)
                return
            await adopter.take_over(victim, limit=limit)

    async def _adopt_at_once(self, limit: int) -> None:
        for victim in await self.harness.relays.expired():
            await asyncio.gather(
                *(relay.take_over(victim, limit=limit) for relay in self.running())
            )

    async def _return_after_loss(self) -> None:
        await self._announce()
        for relay in self.running():
            await relay.beat()

    async def settle(self) -> None:
        """Everything comes to its end, everybody who comes back gets all, and nothing is left."""
        for response_id in self.truth:
            await self._end(response_id)
        for relay in self.relays.values():
            if relay.state == "stopped":
                await relay.halt(dead=True)
            if relay.state == "dead":
                await relay.start()
        await self._quiet()
        for response_id, events in self.truth.items():
            if self.clients.received[response_id] != events:
                assert not self.clients.is_open(self.clients.waits_at[response_id]), "silence"
                await self._resume(response_id, heard=False)
        await self._quiet()
        assert self.clients.received == self.truth
        for relay in self.relays.values():
            assert await self.harness.relays.undelivered(relay.name) == set()
        assert await self.harness.log.abandoned() == []
        for number in range(self.connections + 1):
            assert await self.harness.log.running_for(f"c{number}") == set()

    async def _quiet(self) -> None:
        for relay in [*self.relays.values()] * 2:  # a first round shows them what is not theirs
            await relay.rescan()
            while await self._deliver(relay, 100):
                pass
