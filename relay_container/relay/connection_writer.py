"""The writer of one connection: posts the events of its responses, strictly one post at a time."""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import EventLog, ResponseMeta
from axon.exceptions import (
    LostEventsError,
    MissingResponseError,
    MovedError,
    UnavailableError,
)
from axon.management_api import ConnectionsApi, PayloadTooLargeError, PostThrottledError
from axon.protocol.stream_ids import relabelled
from axon.retry import RetryPolicy
from relay.cursor import DeliveryCursor
from relay.lanes import Lanes
from relay.retries import UNTIL_DONE, UNTIL_FOUND
from relay.stand_ins import stand_in

logger = logging.getLogger(__name__)

READ_LIMIT = 256
"""Events that are read from the log at a time."""
FENCE_S = 0.05
"""Upper bound of the time that a relay posts after another one has taken its response over."""


class Ending(Enum):
    """Why a delivery needs no more posts from this writer."""

    DELIVERED = "delivered"
    MOVED = "moved"
    HALTED = "halted"
    """Its checkpoint is closed: another relay can go on."""


@dataclass(frozen=True, slots=True)
class EndedDelivery:
    """A delivery that has left its writer."""

    delivery: DeliveryCursor
    ending: Ending


class ConnectionWriter:
    """Posts to one connection; `run` is its one task.

    Responses of different lanes take turns, event by event; those of one lane follow one another
    (`relay.lanes`). A post is repeated only when it surely did not arrive.

    A delivery that waits for its lane posts nothing and keeps no events: it reads them from the log
    when its turn comes. Its checkpoint is closed, so that nothing is granted to it, and another
    relay can go on from there without a doubt. It still confirms what the client has after a
    failover, and each look of the reconciler writes its checkpoint, which keeps a log that has
    ended from expiring.

    Before a post, the log knows that it may be under way: because the event was granted, or from a
    checkpoint in doubt. When nothing follows at once, a checkpoint without doubt says what has
    arrived, so that another relay can go on from there. The log refuses a checkpoint when the
    response was given to another relay or connection meanwhile: then nothing more is posted. A
    writer that posts without a pause writes a checkpoint each `FENCE_S`, so that it learns of that.

    After a failover the log has another generation, and may lack events that were published, even
    posted. Before anything else is posted, the delivery drops what it has not posted yet and writes
    its checkpoint in the new generation. The log refuses it if another attempt may have put other
    events in the place of those that the client has: then the connection is closed. If the log is
    only shorter, the delivery waits: the attempt that holds the missing events appends them again.

    While the log has no such response, because Valkey lost its data, the writer waits: either the
    response's worker restores it, or the reconciler closes this connection. A halted writer does
    not wait, and keeps that delivery: `relay.departure` does the rest.

    Parameters
    ----------
    relay_id : str
        The relay that posts.
    connection_id : str
        The connection that is posted to.
    connections : ConnectionsApi
        Posts and closes by API Gateway's ``@connections``.
    log : EventLog
        Keeps the checkpoints and is read after a lost publication.
    observe_lag : Callable[[float], None]
        Called with the seconds from each event's receipt to its delivery.
    clock : Callable[[], float]
        Seconds, for `FENCE_S`.
    """

    def __init__(
        self,
        *,
        relay_id: str,
        connection_id: str,
        connections: ConnectionsApi,
        log: EventLog,
        observe_lag: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay_id = relay_id
        self.connection_id = connection_id
        self._connections = connections
        self._log = log
        self._observe_lag = observe_lag
        self._clock = clock
        self._deliveries: set[DeliveryCursor] = set()
        self._lanes = Lanes()
        self._notices: deque[bytes] = deque()
        # In the order in which they get their turns.
        self._ready: OrderedDict[DeliveryCursor, None] = OrderedDict()
        # Deliveries of which the log says that a post may be under way, and since when it does.
        self._in_doubt: dict[DeliveryCursor, float] = {}
        self._woken = asyncio.Event()
        self._halted = asyncio.Event()
        self._retry = replace(UNTIL_DONE, stop=self._halted)
        self._retry_found = replace(UNTIL_FOUND, stop=self._halted)

    @property
    def deliveries(self) -> AbstractSet[DeliveryCursor]:
        """Deliveries that have not ended."""
        return self._deliveries

    def add(self, delivery: DeliveryCursor) -> None:
        """Take on a delivery."""
        self._deliveries.add(delivery)
        self._wake_all(self._lanes.add(delivery))

    def drop(self, delivery: DeliveryCursor) -> None:
        """Post no more of a delivery; a post under way is not stopped."""
        self._deliveries.discard(delivery)
        self._ready.pop(delivery, None)
        self._in_doubt.pop(delivery, None)
        self._wake_all(self._lanes.remove(delivery))
        self._woken.set()

    def tell(self, notice: bytes) -> None:
        """Post an event that belongs to no delivery, before any other post that has not begun."""
        self._notices.append(notice)
        self._woken.set()

    def close_lane(self, lane: str, response_id: str) -> None:
        """Begin no response of a lane while one that may come first is looked up."""
        self._wake_all(self._lanes.close(lane, response_id))

    def open_lane(self, lane: str, response_id: str) -> None:
        """Undo `close_lane`."""
        self._wake_all(self._lanes.open(lane, response_id))

    def halt(self) -> None:
        """Begin no more posts; `run` ends after the current one, and closes each checkpoint.

        The deliveries that it keeps then have no log, so that no other relay can take them over.
        """
        self._halted.set()
        self._woken.set()

    def wake(self, delivery: DeliveryCursor) -> None:
        """Give a delivery its turn if it has become ready."""
        ready = delivery.must_close if delivery.waiting else delivery.ready
        if ready and delivery in self._deliveries:
            self._ready[delivery] = None
            self._woken.set()

    def _wake_all(self, deliveries: Iterable[DeliveryCursor]) -> None:
        for delivery in deliveries:
            self.wake(delivery)

    async def run(self) -> AsyncGenerator[EndedDelivery, None]:
        """Post until every delivery has ended.

        Yields
        ------
        EndedDelivery
            Each delivery that has ended, in the step in which it ended: nothing is posted, and no
            other task runs, before the caller has taken note of it.

        Raises
        ------
        ConnectionGoneError
            The client is gone.
        ConnectionsApiError
            It is unknown whether a post has arrived, so the client must not receive more.
        LostEventsError
            The log has lost what follows, so the client must not receive more.
        """
        while (self._deliveries or self._notices) and not self._halted.is_set():
            while (self._ready or self._notices) and not self._halted.is_set():
                if self._notices:
                    await self._post(self._notices.popleft())
                    continue
                delivery, _ = self._ready.popitem(last=False)
                if ending := await self._unless_moved(delivery, self._turn_until_halted):
                    yield EndedDelivery(delivery, ending)
            self._woken.clear()
            if self._deliveries and not self._halted.is_set():
                await self._woken.wait()
        for delivery in tuple(self._deliveries):
            if ending := await self._unless_moved(delivery, self._close_checkpoint):
                yield EndedDelivery(delivery, ending)

    async def _unless_moved(
        self,
        delivery: DeliveryCursor,
        step: Callable[[DeliveryCursor], Awaitable[Ending | None]],
    ) -> Ending | None:
        """Do a step for a delivery; return how the delivery has ended, or None."""
        try:
            return await step(delivery)
        except MovedError:
            # If a publication said so already, the delivery was dropped, and this connection may
            # have a new delivery of the same response: that one must stay.
            if delivery not in self._deliveries:
                return None
            if delivery.generation != self._log.generation:
                # A failover may have undone the move that brought the delivery here. Dropped, its
                # client would wait for nothing; a client that is disconnected resumes.
                raise LostEventsError(
                    f"{delivery.response_id}: another relay had it before the failover"
                ) from None
            self.drop(delivery)
            return Ending.MOVED

    async def _turn_until_halted(self, delivery: DeliveryCursor) -> Ending | None:
        """Do as `_turn`; a halt ends its wait for a log."""
        try:
            return await self._turn(delivery)
        except (MissingResponseError, UnavailableError):
            if self._halted.is_set():
                return None
            raise

    async def _turn(self, delivery: DeliveryCursor) -> Ending | None:
        """Post the delivery's next event; read the log first if need be."""
        # Each await gives others the time to drop the delivery: then it is looked at no more.
        if delivery.generation != self._log.generation:
            await self._confirm(delivery)
        if delivery not in self._deliveries:
            return None
        if delivery.waiting:
            await self._wait(delivery)
            return None
        # From here on no other response of its lane may come first, also one that is found later.
        self._lanes.begin(delivery)
        if delivery.must_read and delivery in self._deliveries and not await self._read(delivery):
            return self._end(delivery)
        event = delivery.peek() if delivery in self._deliveries else None
        if event is not None:
            await self._post_next(delivery, event)
        if delivery not in self._deliveries:
            return None
        if delivery.finished:
            return self._end(delivery)
        self.wake(delivery)
        if delivery not in self._ready and delivery in self._in_doubt:
            # Nothing follows at once: now there is time to say that all has arrived. Should this
            # relay die in the pause, another one can go on without closing the connection.
            await self._checkpoint(delivery, TailState.NONE)
            self._in_doubt.pop(delivery, None)
            delivery.take_grants()
        return None

    async def _wait(self, delivery: DeliveryCursor) -> None:
        """Write the checkpoint of a delivery that waits for its lane, if that is due."""
        if not delivery.must_close or delivery not in self._deliveries:
            return
        # Before the call: what comes during it may make another one necessary.
        delivery.closed()
        # A log that is missing is none to wait for here, where others would wait, too.
        with suppress(MissingResponseError):
            await self._checkpoint(delivery, TailState.CLOSED, retry=UNTIL_DONE)

    async def _post_next(self, delivery: DeliveryCursor, event: bytes) -> None:
        """Post an event, unless the delivery is dropped or must be confirmed first."""
        if delivery.granted:
            # The append has written the checkpoint in doubt already, in the same step.
            self._in_doubt[delivery] = self._clock()
        elif self._clock() - self._in_doubt.get(delivery, float("-inf")) > FENCE_S:
            await self._checkpoint(delivery, TailState.IN_DOUBT)
            if delivery not in self._deliveries:
                return
            self._in_doubt[delivery] = self._clock()
        if delivery.generation != self._log.generation:
            # The event is of the generation before, and the log may lack it now.
            return
        if await self._post_or_replace(delivery, event):
            # Also of a delivery that was dropped during the post: nobody looks at it again.
            self._observe_lag(delivery.advance())

    async def _post_or_replace(self, delivery: DeliveryCursor, event: bytes) -> bool:
        """Post an event, or what stands for one that is too large; as `_post`."""
        if delivery.position.lane:
            event = relabelled(event, delivery.position.stream_id)
        try:
            return await self._post(event)
        except PayloadTooLargeError as error:
            logger.warning("%s has an event that is too large: %s", delivery.response_id, error)
        replacement = stand_in(event)
        return replacement is None or await self._post(replacement)

    async def _confirm(self, delivery: DeliveryCursor) -> None:
        """Write what the client has received into the log's new generation.

        No post is under way: this is its connection's only task. So the checkpoint is certain.
        """
        generation = self._log.generation
        delivery.forget()
        tail = TailState.CLOSED if delivery.waiting else TailState.NONE
        await self._checkpoint(delivery, tail)
        self._in_doubt.pop(delivery, None)
        if tail is TailState.NONE and not delivery.waiting:
            delivery.take_grants()
        # The call may have met yet another generation: then the next turn writes it once more.
        if self._log.generation == generation:
            delivery.generation = generation

    async def _close_checkpoint(self, delivery: DeliveryCursor) -> Ending | None:
        """Close the checkpoint of a delivery, which then leaves the writer; not without a log."""
        try:
            # Not until it is found: the checkpoints after this one must be closed in time.
            await self._checkpoint(delivery, TailState.CLOSED, retry=UNTIL_DONE)
        except MissingResponseError:
            return None
        self.drop(delivery)
        return Ending.HALTED

    async def _read(self, delivery: DeliveryCursor) -> bool:
        """Read the log; return False if it was deleted, so that nothing follows."""
        after = delivery.begin_read()
        events = await UNTIL_DONE.run(
            lambda: self._log.read(delivery.response_id, after=after, limit=READ_LIMIT)
        )
        if not events:
            meta = await UNTIL_DONE.run(lambda: self._log.describe(delivery.response_id))
            if meta is not None and not meta.tenant_id:
                return False
            if self._is_behind(delivery, meta):
                delivery.postpone_read()
                return True
        delivery.end_read(events, complete=len(events) < READ_LIMIT)
        return True

    def _is_behind(self, delivery: DeliveryCursor, meta: ResponseMeta | None) -> bool:
        """Return whether the log lacks events of the client that an attempt may append again.

        Raises
        ------
        LostEventsError
            No attempt will: the log was made again, or has ended without them.
        """
        if meta is None or meta.next_sequence > delivery.next_sequence:
            return False
        if meta.status.terminal:
            # Also with as many events as the client has: its last one was not the terminal event.
            raise LostEventsError(f"{delivery.response_id} has ended without the client's events")
        behind = meta.next_sequence < delivery.next_sequence
        if behind and not meta.incomplete:
            raise LostEventsError(f"{delivery.response_id}: its log has begun again")
        return behind

    async def _checkpoint(
        self, delivery: DeliveryCursor, tail: TailState, *, retry: RetryPolicy | None = None
    ) -> None:
        checkpoint = DeliveryCheckpoint(delivery.next_sequence, tail)
        await (retry or self._retry_found).run(
            lambda: self._log.checkpoint(
                delivery.response_id,
                checkpoint,
                relay_id=self._relay_id,
                connection_id=self.connection_id,
                order=delivery.position.order,
            )
        )

    async def _post(self, data: bytes) -> bool:
        """Post; return False if the writer was halted before the post could succeed.

        In that case it surely has not arrived: only then is it repeated, so that no doubt remains
        when the halt ends the repetitions.
        """
        try:
            await self._retry.run(lambda: self._connections.post(self.connection_id, data))
        except PostThrottledError:
            return False
        return True

    def _end(self, delivery: DeliveryCursor) -> Ending:
        self.drop(delivery)
        return Ending.DELIVERED
