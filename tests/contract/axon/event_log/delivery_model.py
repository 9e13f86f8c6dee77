"""Relays and clients as simple as can be: they keep the rules that real ones keep, step by step.

A relay posts an event only after the log has granted it or has taken a checkpoint,
and perhaps others without asking again; it can die or sleep before, between and after. A client
resumes with the last number that it has received.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from axon.directory.relays import TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import LoggedEvent
from axon.event_log.openings import Resumption
from axon.exceptions import MissingResponseError, MovedError
from tests.contract.conftest import EventLogHarness

TENANT = "t"


@dataclass
class Clients:
    """All clients: the events that each has received, and the connection on which it waits.

    That of a followed response is empty: it is never open, and receives nothing.
    """

    received: dict[str, list[LoggedEvent]] = field(default_factory=dict)
    waits_at: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)

    def wait(self, response_id: str, connection_id: str) -> None:
        self.received.setdefault(response_id, [])
        self.waits_at[response_id] = connection_id

    def is_open(self, connection_id: str) -> bool:
        return connection_id not in ("", *self.closed)

    def close(self, connection_id: str) -> None:
        if self.is_open(connection_id):
            self.closed.append(connection_id)

    def receive(self, response_id: str, connection_id: str, event: LoggedEvent) -> None:
        """Take an event; those of a connection that was left do not count."""
        assert self.is_open(connection_id)
        if self.waits_at[response_id] == connection_id:
            got = self.received[response_id]
            assert event.sequence_number == len(got), "a gap or a repeat"
            got.append(event)


@dataclass
class Delivery:
    """A relay's state of a response; `stage` is its last action.

    `posting`: the log knows that something from here on may have been posted.
    """

    connection_id: str
    following: int
    stage: Literal["idle", "begun", "posted"] = "idle"
    posting: bool = False
    granted: int | None = None


class ModelRelay:
    """One relay: `state` says whether its process runs, is stopped, or is dead."""

    def __init__(self, name: str, *, harness: EventLogHarness, clients: Clients) -> None:
        self.name = name
        self.state: Literal["running", "stopped", "dead"] = "dead"
        self.deliveries: dict[str, Delivery] = {}
        self._harness = harness
        self._clients = clients

    async def start(self) -> None:
        self.state = "running"
        await self.go_on(await self._harness.relays.take_over(self.name, successor_id=self.name))
        await self.beat()

    async def beat(self) -> None:
        await self._harness.relays.heartbeat(self.name, lease_s=600)

    async def halt(self, *, dead: bool) -> None:
        """Stop or kill it; its lease ends."""
        self.state = "dead" if dead else "stopped"
        if dead:
            self.deliveries.clear()
        await self._harness.relays.end_lease(self.name)

    async def take_over(self, victim: str, *, limit: int) -> None:
        await self.go_on(
            await self._harness.relays.take_over(victim, successor_id=self.name, limit=limit)
        )

    async def go_on(self, taken_over: Iterable[TakenOver]) -> None:
        connections: dict[str, list[TakenOver]] = {}
        for response in taken_over:
            connections.setdefault(response.connection_id, []).append(response)
        for connection_id, responses in connections.items():
            if all(response.checkpoint.certain for response in responses):
                for response in responses:
                    self.take(
                        response.response_id, connection_id, response.checkpoint.next_sequence
                    )
            else:
                await self.interrupt(connection_id, [r.response_id for r in responses])

    def hear(self, response_id: str, connection_id: str, granted: int) -> None:
        """Take a grant, which says itself where to begin."""
        delivery = self.deliveries.get(response_id)
        if delivery is None or (delivery.connection_id, delivery.following) != (
            connection_id,
            granted,
        ):
            self.take(response_id, connection_id, granted)
        self.deliveries[response_id].granted = granted

    def take(self, response_id: str, connection_id: str, first: int) -> None:
        self.deliveries[response_id] = Delivery(connection_id, first)

    async def interrupt(self, connection_id: str, response_ids: Iterable[str] = ()) -> None:
        """Close a connection; its client may come back."""
        self._clients.close(connection_id)
        await self._harness.log.abandon(connection_id)
        here = {key for key, d in self.deliveries.items() if d.connection_id == connection_id}
        for response_id in here.union(response_ids):
            self.deliveries.pop(response_id, None)
            await self._harness.relays.delivered(
                self.name, response_id, connection_id=connection_id
            )

    async def rescan(self) -> None:
        """Compare what it should deliver with what it remembers."""
        ours = await self._harness.relays.undelivered(self.name)
        for response_id in self.deliveries.keys() - ours:
            meta = await self._harness.log.describe(response_id)
            if meta is not None and meta.relay_id != self.name:
                del self.deliveries[response_id]
            elif delivery := self.deliveries.get(response_id):
                await self.interrupt(delivery.connection_id)
        for response_id in sorted(ours - self.deliveries.keys()):
            meta = await self._harness.log.describe(response_id)
            if meta is None:
                await self._harness.relays.delivered(self.name, response_id)
            elif meta.checkpoint.certain or meta.checkpoint.tail is TailState.GRANTED:
                self.take(response_id, meta.connection_id, meta.checkpoint.next_sequence)
            else:
                await self.interrupt(meta.connection_id, [response_id])

    async def step(
        self, response_id: str, *, certain: bool = True, asks: bool = True, arrives: bool = True
    ) -> bool:
        """Do the next thing for a response; return whether there was one.

        `certain`: say after a post that it has arrived; `asks`: checkpoint each post, though the
        log knows enough; `arrives`: whether the post does.
        """
        delivery = self.deliveries[response_id]
        if delivery.stage == "idle":
            return await self._begin_post(response_id, delivery, asks=asks)
        if delivery.stage == "begun":
            await self._end_post(response_id, delivery, arrives=arrives)
            return True
        if not certain:
            delivery.stage = "idle"
        elif await self._checkpoint(response_id, delivery, TailState.NONE):
            delivery.stage = "idle"
            delivery.posting = False
        return True

    async def _begin_post(self, response_id: str, delivery: Delivery, *, asks: bool) -> bool:
        if await self._next_event(response_id, delivery) is None:
            return False
        known = delivery.posting or delivery.granted == delivery.following
        if (asks or not known) and not await self._checkpoint(
            response_id, delivery, TailState.IN_DOUBT
        ):
            return False
        delivery.posting = True
        delivery.stage = "begun"
        return True

    async def _end_post(self, response_id: str, delivery: Delivery, *, arrives: bool) -> None:
        event = await self._next_event(response_id, delivery)
        if not arrives or event is None or not self._clients.is_open(delivery.connection_id):
            await self.interrupt(delivery.connection_id)
            return
        self._clients.receive(response_id, delivery.connection_id, event)
        delivery.following += 1
        delivery.stage = "posted"
        if event.data.endswith(b"end"):
            del self.deliveries[response_id]
            await self._harness.relays.delivered(
                self.name, response_id, connection_id=delivery.connection_id
            )

    async def _next_event(self, response_id: str, delivery: Delivery) -> LoggedEvent | None:
        events = await self._harness.log.read(response_id, after=delivery.following - 1, limit=1)
        if events and events[0].sequence_number == delivery.following:
            return events[0]
        return None

    async def _checkpoint(self, response_id: str, delivery: Delivery, tail: TailState) -> bool:
        checkpoint = DeliveryCheckpoint(delivery.following, tail)
        try:
            await self._harness.log.checkpoint(
                response_id, checkpoint, relay_id=self.name, connection_id=delivery.connection_id
            )
        except MovedError:
            del self.deliveries[response_id]
            return False
        except MissingResponseError:
            return False
        return True


async def resume(
    response_id: str,
    connection_id: str,
    *,
    harness: EventLogHarness,
    clients: Clients,
    relays: dict[str, ModelRelay],
    heard: bool,
) -> Resumption:
    """Resume a response on a new connection; relays receive the news, or find it later."""
    before = await harness.log.describe(response_id)
    first = len(clients.received[response_id])
    resumption = await harness.log.resume(
        response_id, tenant_id=TENANT, connection_id=connection_id, first=first
    )
    if resumption is Resumption.RESUMED:
        clients.wait(response_id, connection_id)
        after = await harness.log.describe(response_id)
        assert before is not None
        assert after is not None
        former, present = relays.get(before.relay_id), relays[after.relay_id]
        if heard and former and former is not present and former.state == "running":
            former.deliveries.pop(response_id, None)
        if present.state != "running":
            return resumption
        if heard:
            present.take(response_id, connection_id, first)
    return resumption
