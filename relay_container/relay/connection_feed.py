"""One connection's feed: posts the events of its responses, strictly one post at a time."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from axon.connections import Connections, PayloadTooLargeError
from axon.event_log import EventLog
from axon.exceptions import RequestError
from axon.protocol.errors import error_frame
from axon.serialization import loads
from relay.delivery import Delivery
from relay.insist import insist

logger = logging.getLogger(__name__)


class ConnectionFeed:
    """Feeds one connection; `run` is its one task.

    Responses take turns, event by event. A post is repeated only when it surely did not arrive.

    Parameters
    ----------
    delivered : called with each delivery that needs no more posts.
    lagged : called with the seconds that each event was here before it was delivered.
    """

    def __init__(
        self,
        *,
        connection_id: str,
        connections: Connections,
        log: EventLog,
        delivered: Callable[[Delivery], Awaitable[None]],
        lagged: Callable[[float], None],
    ) -> None:
        self.connection_id = connection_id
        self._connections = connections
        self._log = log
        self._delivered = delivered
        self._lagged = lagged
        self._deliveries: set[Delivery] = set()
        self._ready: OrderedDict[Delivery, None] = OrderedDict()
        self._woken = asyncio.Event()

    @property
    def deliveries(self) -> AbstractSet[Delivery]:
        """What has not been delivered to the end."""
        return self._deliveries

    def add(self, delivery: Delivery) -> None:
        """Take on a response."""
        self._deliveries.add(delivery)

    def wake(self, delivery: Delivery) -> None:
        """Look after a delivery that may have become ready."""
        if delivery.ready and delivery in self._deliveries:
            self._ready[delivery] = None
            self._woken.set()

    async def run(self) -> None:
        """Post until every delivery has ended.

        Raises
        ------
        ConnectionGoneError : nobody is there any more.
        ConnectionsError, LostEventsError : what follows is not certain; the client must not
            receive more.
        """
        while self._deliveries:
            while self._ready:
                delivery, _ = self._ready.popitem(last=False)
                await self._turn(delivery)
            self._woken.clear()
            if self._deliveries:
                await self._woken.wait()

    async def _turn(self, delivery: Delivery) -> None:
        if delivery.must_read:
            await self._read(delivery)
        if (event := delivery.peek()) is not None:
            try:
                await self._post(event)
            except PayloadTooLargeError as error:
                logger.warning("%s cannot go on: %s", delivery.response_id, error)
                await self._post(_too_large(event))
                await self._end(delivery)
                return
            self._lagged(delivery.posted())
        if delivery.finished:
            await self._end(delivery)
        else:
            self.wake(delivery)

    async def _read(self, delivery: Delivery) -> None:
        after = delivery.begin_read()
        delivery.end_read(await insist(lambda: self._log.read(delivery.response_id, after=after)))

    async def _post(self, data: bytes) -> None:
        await insist(lambda: self._connections.post(self.connection_id, data))

    async def _end(self, delivery: Delivery) -> None:
        self._deliveries.discard(delivery)
        await self._delivered(delivery)


def _too_large(event: bytes) -> bytes:
    refusal = RequestError(
        f"The next event of the response has {len(event)} bytes, more than a WebSocket message "
        "can carry. Ask for a shorter answer.",
        code="event_too_large",
        status=413,
    )
    return error_frame(refusal, stream_id=loads(event).get("stream_id"))
