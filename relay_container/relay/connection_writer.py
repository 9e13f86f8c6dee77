"""One connection's writer: posts the events of its responses, strictly one post at a time."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import EventLog
from axon.exceptions import MovedError, RequestError
from axon.management_api import ConnectionsApi, PayloadTooLargeError, PostThrottledError
from axon.protocol.errors import error_frame
from axon.serialization import loads
from relay.cursor import DeliveryCursor, LostEventsError
from relay.retries import UNTIL_DONE, UNTIL_FOUND

logger = logging.getLogger(__name__)

READ_LIMIT = 256
"""Events that are read from the log at a time."""
FENCE_S = 0.05
"""So long a relay may go on posting after its response was given to another."""


class ConnectionWriter:
    """Feeds one connection; `run` is its one task.

    Responses take turns, event by event. A post is repeated only when it surely did not arrive.
    Before a post the log knows that it may be under way, because it has granted the event or was
    told so; when nothing follows at once it is told what has arrived, so that another relay can go
    on from there. It refuses that when the response was given to another relay or connection
    meanwhile: then nothing more is posted. Whoever posts without a pause asks every `FENCE_S`.
    While the log knows nothing of the response, because Valkey lost its data, the writer waits:
    somebody either restores it, or closes this connection.

    Parameters
    ----------
    relay_id : str
        Who posts.
    moved : Callable[[DeliveryCursor], None]
        Called with each delivery that is another's now.
    delivered : Callable[[DeliveryCursor], Awaitable[None]]
        Called with each delivery that needs no more posts.
    lagged : Callable[[float], None]
        Called with the seconds that each event was here before it was delivered.
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
        delivered: Callable[[DeliveryCursor], Awaitable[None]],
        moved: Callable[[DeliveryCursor], None],
        lagged: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay_id = relay_id
        self.connection_id = connection_id
        self._connections = connections
        self._log = log
        self._delivered = delivered
        self._moved = moved
        self._lagged = lagged
        self._clock = clock
        self._deliveries: set[DeliveryCursor] = set()
        self._ready: OrderedDict[DeliveryCursor, None] = OrderedDict()
        self._posting: dict[DeliveryCursor, float] = {}  # as the log knows, since then
        self._woken = asyncio.Event()
        self._halted = asyncio.Event()

    @property
    def deliveries(self) -> AbstractSet[DeliveryCursor]:
        """What has not been delivered to the end."""
        return self._deliveries

    def add(self, delivery: DeliveryCursor) -> None:
        """Take on a response."""
        self._deliveries.add(delivery)

    def drop(self, delivery: DeliveryCursor) -> None:
        """Post no more of a response; a post under way is not stopped."""
        self._deliveries.discard(delivery)
        self._ready.pop(delivery, None)
        self._posting.pop(delivery, None)
        self._woken.set()

    def halt(self) -> None:
        """Begin no more posts; `run` ends after the current one, with every checkpoint closed."""
        self._halted.set()
        self._woken.set()

    def wake(self, delivery: DeliveryCursor) -> None:
        """Look after a delivery that may have become ready."""
        if delivery.ready and delivery in self._deliveries:
            self._ready[delivery] = None
            self._woken.set()

    async def run(self) -> None:
        """Post until every delivery has ended.

        Raises
        ------
        ConnectionGoneError
            Nobody is there any more.
        ConnectionsError, LostEventsError
            What follows is not certain; the client must not receive more.
        """
        while self._deliveries and not self._halted.is_set():
            while self._ready and not self._halted.is_set():
                delivery, _ = self._ready.popitem(last=False)
                await self._unless_moved(delivery, self._turn)
            self._woken.clear()
            if self._deliveries and not self._halted.is_set():
                await self._woken.wait()
        for delivery in tuple(self._deliveries):
            await self._unless_moved(delivery, self._seal)

    async def _unless_moved(
        self, delivery: DeliveryCursor, act: Callable[[DeliveryCursor], Awaitable[None]]
    ) -> None:
        try:
            await act(delivery)
        except MovedError:
            # Who was told so already has dropped it, and may have another one of the response.
            if delivery in self._deliveries:
                self.drop(delivery)
                self._moved(delivery)

    async def _turn(self, delivery: DeliveryCursor) -> None:
        if delivery.must_read:
            await self._read(delivery)
        if delivery in self._deliveries and (event := delivery.peek()) is not None:
            await self._tell(delivery, event)
        if delivery not in self._deliveries:
            return
        if delivery.finished:
            await self._end(delivery)
            return
        self.wake(delivery)
        if delivery not in self._ready and delivery in self._posting:
            await self._checkpoint(delivery, TailState.NONE)
            self._posting.pop(delivery, None)

    async def _tell(self, delivery: DeliveryCursor, event: bytes) -> None:
        if delivery.granted:
            self._posting[delivery] = self._clock()
        elif self._clock() - self._posting.get(delivery, float("-inf")) > FENCE_S:
            await self._checkpoint(delivery, TailState.IN_DOUBT)
            if delivery not in self._deliveries:
                return
            self._posting[delivery] = self._clock()
        try:
            if await self._post(event):
                self._lagged(delivery.posted())
        except PayloadTooLargeError as error:
            logger.warning("%s cannot go on: %s", delivery.response_id, error)
            if await self._post(_too_large(event)) and delivery in self._deliveries:
                await self._end(delivery)

    async def _seal(self, delivery: DeliveryCursor) -> None:
        await self._checkpoint(delivery, TailState.CLOSED)

    async def _read(self, delivery: DeliveryCursor) -> None:
        after = delivery.begin_read()
        events = await UNTIL_DONE.run(
            lambda: self._log.read(delivery.response_id, after=after, limit=READ_LIMIT)
        )
        if not events:
            await self._check(delivery)
        delivery.end_read(events, complete=len(events) < READ_LIMIT)

    async def _check(self, delivery: DeliveryCursor) -> None:
        """Raise if the log was made anew and never had what the client has got."""
        meta = await UNTIL_DONE.run(lambda: self._log.describe(delivery.response_id))
        if meta is not None and meta.next_sequence < delivery.next_sequence:
            raise LostEventsError(f"{delivery.response_id}: its log has begun anew")

    async def _checkpoint(self, delivery: DeliveryCursor, tail: TailState) -> None:
        checkpoint = DeliveryCheckpoint(delivery.next_sequence, tail)
        await UNTIL_FOUND.run(
            lambda: self._log.checkpoint(
                delivery.response_id,
                checkpoint,
                relay_id=self._relay_id,
                connection_id=self.connection_id,
            )
        )

    async def _post(self, data: bytes) -> bool:
        """Return whether it has arrived; otherwise it surely has not, and the writer was halted."""
        try:
            retry = replace(UNTIL_DONE, stop=self._halted)
            await retry.run(lambda: self._connections.post(self.connection_id, data))
        except PostThrottledError:
            return False
        return True

    async def _end(self, delivery: DeliveryCursor) -> None:
        self._deliveries.discard(delivery)
        self._posting.pop(delivery, None)
        await self._delivered(delivery)


def _too_large(event: bytes) -> bytes:
    refusal = RequestError(
        f"The next event of the response has {len(event)} bytes, more than a WebSocket message "
        "can carry. Ask for a shorter answer.",
        code="event_too_large",
        status=413,
    )
    return error_frame(refusal, stream_id=loads(event).get("stream_id"))
