"""All feeds of a relay: each publication finds its delivery, each connection has one task."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping

from axon.connections import ConnectionGoneError, Connections
from axon.event_log import EventLog
from axon.exceptions import AxonError
from relay.connection_feed import ConnectionFeed
from relay.delivery import Delivery
from relay.publication import Publication
from relay.settlement import Settlement

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""So many ended responses are remembered, lest late publications revive them."""


class Feeds:
    """Lives on one event loop; all but `drain` and `close_all` is immediate.

    `lagged` is told how many seconds each event was here before it was delivered.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        log: EventLog,
        settlement: Settlement,
        lagged: Callable[[float], None],
    ) -> None:
        self._connections = connections
        self._log = log
        self._settlement = settlement
        self._lagged = lagged
        self._deliveries: dict[str, Delivery] = {}
        self._feeds: dict[str, ConnectionFeed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[ConnectionFeed, asyncio.Task[None]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._accepting = False

    @property
    def deliveries(self) -> Mapping[str, Delivery]:
        """What has not been delivered to the end, by response id."""
        return self._deliveries

    @property
    def connections(self) -> int:
        """How many connections wait for something."""
        return len(self._feeds)

    def has_ended(self, response_id: str) -> bool:
        """Whether the response needs nothing more from here."""
        return response_id in self._ended

    def accept(self) -> None:
        """Deliver what is published from now on; what came earlier was not for this relay."""
        self._accepting = True

    def receive(self, publication: Publication) -> None:
        """Take what was published."""
        if not self._accepting:
            return
        delivery = self._deliveries.get(publication.response_id)
        if delivery is None:
            if publication.response_id in self._ended:
                return
            delivery = self._open(publication.response_id, publication.connection_id)
        delivery.publish(publication)
        self._wake(delivery)

    def resume(self, response_id: str, connection_id: str) -> None:
        """Deliver, from the log, a response of which nothing was heard."""
        if response_id not in self._deliveries and response_id not in self._ended:
            self.doubt(self._open(response_id, connection_id))

    def doubt(self, delivery: Delivery) -> None:
        """Have the delivery look into the log."""
        delivery.doubt()
        self._wake(delivery)

    def doubt_all(self) -> None:
        """Publications may have been lost."""
        for delivery in self._deliveries.values():
            self.doubt(delivery)

    def ignore(self, response_ids: Iterable[str]) -> None:
        """Deliver nothing of these responses, whatever is published of them from now on."""
        self._ended.update(dict.fromkeys(response_ids))
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def close(self, connection_id: str) -> None:
        """Stop feeding a connection and close it."""
        if feed := self._feeds.get(connection_id):
            self._running[feed].cancel()
            self._start(self._settlement.close(connection_id, self._detach(feed)))

    async def drain(self) -> None:
        """Wait until everything is delivered and settled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close_all(self) -> None:
        """Close the connections that still wait for something."""
        for connection_id in list(self._feeds):
            self.close(connection_id)
        await self.drain()

    async def cancel(self) -> None:
        """Leave everything as it is."""
        for task in self._tasks:
            task.cancel()
        await self.drain()

    def _open(self, response_id: str, connection_id: str) -> Delivery:
        delivery = Delivery(response_id=response_id, connection_id=connection_id)
        self._deliveries[response_id] = delivery
        feed = self._feeds.get(connection_id)
        if feed is not None:
            feed.add(delivery)
            return delivery
        feed = ConnectionFeed(
            connection_id=connection_id,
            connections=self._connections,
            log=self._log,
            delivered=self._delivered,
            lagged=self._lagged,
        )
        feed.add(delivery)
        self._feeds[connection_id] = feed
        self._running[feed] = self._start(self._run(feed))
        return delivery

    def _wake(self, delivery: Delivery) -> None:
        if feed := self._feeds.get(delivery.connection_id):
            feed.wake(delivery)

    async def _run(self, feed: ConnectionFeed) -> None:
        try:
            await feed.run()
        except ConnectionGoneError:
            logger.debug("connection %s is gone", feed.connection_id)
            await self._settlement.gone(feed.connection_id, self._detach(feed))
        except Exception as error:
            surprise = not isinstance(error, AxonError)
            logger.warning("closing %s: %r", feed.connection_id, error, exc_info=surprise)
            await self._settlement.close(feed.connection_id, self._detach(feed))
        else:
            self._detach(feed)

    async def _delivered(self, delivery: Delivery) -> None:
        self._forget([delivery.response_id])
        await self._settlement.delivered(delivery.response_id)

    def _detach(self, feed: ConnectionFeed) -> list[str]:
        """Take the feed out, and return what it has not delivered."""
        del self._feeds[feed.connection_id]
        del self._running[feed]
        undelivered = [delivery.response_id for delivery in feed.deliveries]
        self._forget(undelivered)
        return undelivered

    def _forget(self, response_ids: Iterable[str]) -> None:
        for response_id in response_ids:
            del self._deliveries[response_id]
        self.ignore(response_ids)

    def _start(self, settling: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(settling)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a connection could not be settled", exc_info=error)
