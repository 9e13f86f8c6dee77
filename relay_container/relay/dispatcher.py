"""All dispatcher of a relay: each publication finds its delivery, each connection has one task."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Mapping

from axon.event_log.checkpoint import TailState
from axon.event_log.log import EventLog, ResponseMeta
from axon.event_log.publication import Kind, Publication
from axon.exceptions import AxonError
from axon.management_api import ConnectionGoneError, ConnectionsApi
from relay.completion import DeliveryCompletion
from relay.connection_writer import ConnectionWriter
from relay.cursor import DeliveryCursor
from relay.retries import UNTIL_DONE

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""So many ended responses are remembered, lest late publications revive them."""
HALT_S = 1.0
"""So long a halt waits for posts under way; the fate of slower ones stays uncertain."""


class Dispatcher:
    """Lives on one event loop; all but `find`, `drain`, `halt` and `cancel` is immediate.

    `lagged` is told how many seconds each event was here before it was delivered.
    """

    def __init__(
        self,
        *,
        connections: ConnectionsApi,
        log: EventLog,
        completion: DeliveryCompletion,
        lagged: Callable[[float], None],
    ) -> None:
        self._connections = connections
        self._log = log
        self._completion = completion
        self._lagged = lagged
        self._deliveries: dict[str, DeliveryCursor] = {}
        self._dispatcher: dict[str, ConnectionWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[ConnectionWriter, asyncio.Task[None]] = {}
        self._closing: dict[str, set[str]] = {}
        self._sought: set[str] = set()
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._accepting = False

    @property
    def deliveries(self) -> Mapping[str, DeliveryCursor]:
        """What has not been delivered to the end, by response id."""
        return self._deliveries

    @property
    def connections(self) -> int:
        """How many connections wait for something."""
        return len(self._dispatcher)

    def has_ended(self, response_id: str, connection_id: str) -> bool:
        """Whether the connection needs nothing more of the response from here."""
        return (response_id, connection_id) in self._ended

    def accept(self) -> None:
        """Deliver what is published from now on; what came earlier was not for this relay."""
        self._accepting = True

    def receive(self, publication: Publication) -> None:
        """Take what was published."""
        if not self._accepting:
            return
        match publication.kind:
            case Kind.RESUMED:
                self._resume(publication)
            case Kind.MOVED:
                self.drop(publication.response_id, connection_id=publication.connection_id)
            case _:
                self._publish(publication)

    def go_on(self, response_id: str, connection_id: str, *, first: int) -> None:
        """Deliver a response from event `first` on, unless that is under way here."""
        delivery = self._deliveries.get(response_id)
        if (
            delivery is None
            or delivery.connection_id != connection_id
            or delivery.next_sequence < first
        ):
            self._replace(response_id, connection_id, first=first, announced=True)

    async def find(self, response_id: str) -> None:
        """Do what the log says with a response that is not, or wrongly, known here."""
        meta = await UNTIL_DONE.run(lambda: self._log.describe(response_id))
        if response_id in self._deliveries or not self._accepting:
            return
        if meta is None:
            await self._completion.forget_delivery(response_id)
        elif meta.relay_id != self._completion.relay_id or meta.connection_id in self._closing:
            return
        elif meta.checkpoint.certain:
            self._find(meta)
        elif self.has_ended(response_id, meta.connection_id):
            await self._completion.delivered(response_id, meta.connection_id)
        elif meta.checkpoint.tail is TailState.GRANTED:  # not heard: nobody has posted
            self._find(meta)
        else:
            self.close(meta.connection_id, [response_id])

    def drop(self, response_id: str, *, connection_id: str | None = None) -> None:
        """Deliver no more of a response, to this connection or at all: it is another's now."""
        delivery = self._deliveries.get(response_id)
        if delivery is None or connection_id not in (None, delivery.connection_id):
            return
        del self._deliveries[response_id]
        if writer := self._dispatcher.get(delivery.connection_id):
            writer.drop(delivery)

    def doubt(self, delivery: DeliveryCursor) -> None:
        """Have the delivery look into the log."""
        delivery.doubt()
        self._wake(delivery)

    def doubt_all(self) -> None:
        """Publications may have been lost."""
        for delivery in self._deliveries.values():
            self.doubt(delivery)

    def close(self, connection_id: str, response_ids: Collection[str] = ()) -> None:
        """Close a connection that must not receive more, of these responses or of any."""
        undelivered = set(response_ids)
        if writer := self._dispatcher.get(connection_id):
            self._running[writer].cancel()
            undelivered.update(self._detach(writer))
        self._remember(undelivered, connection_id)
        if connection_id in self._closing:
            self._closing[connection_id] |= undelivered
        else:
            self._closing[connection_id] = undelivered
            self._start(self._close(connection_id))

    async def drain(self) -> None:
        """Wait until everything is delivered and settled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def halt(self) -> None:
        """Post no more, and note how far everything is: another relay goes on from there."""
        self._accepting = False
        for writer in self._running:
            writer.halt()
        if feeding := set(self._running.values()):
            _, hanging = await asyncio.wait(feeding, timeout=HALT_S)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)

    async def cancel(self) -> None:
        """Leave everything as it is."""
        for task in self._tasks:
            task.cancel()
        await self.drain()

    def _publish(self, publication: Publication) -> None:
        response_id, connection_id = publication.response_id, publication.connection_id
        if self.has_ended(response_id, connection_id) or connection_id in self._closing:
            return
        delivery = self._deliveries.get(response_id)
        if delivery is not None and delivery.connection_id != connection_id:
            self.drop(response_id)
            delivery = None
        if delivery is None and publication.first > 0:  # what said where to begin was lost
            self._seek(response_id)
            return
        if delivery is None:
            delivery = DeliveryCursor(response_id=response_id, connection_id=connection_id)
            self._add(delivery)
        delivery.publish(publication)
        self._wake(delivery)

    def _find(self, meta: ResponseMeta) -> None:
        first = meta.checkpoint.next_sequence
        self._replace(meta.response_id, meta.connection_id, first=first, announced=False)

    def _resume(self, publication: Publication) -> None:
        response_id, connection_id = publication.response_id, publication.connection_id
        if connection_id in self._closing:
            return
        delivery = self._deliveries.get(response_id)
        if (
            delivery is not None
            and not delivery.announced
            and (delivery.connection_id, delivery.first) == (connection_id, publication.first)
        ):
            delivery.announced = True
            return
        self._replace(response_id, connection_id, first=publication.first, announced=True)

    def _replace(
        self, response_id: str, connection_id: str, *, first: int, announced: bool
    ) -> None:
        self.drop(response_id)
        self._ended.pop((response_id, connection_id), None)
        delivery = DeliveryCursor(
            response_id=response_id, connection_id=connection_id, first=first, resumed=True
        )
        delivery.announced = announced
        self._add(delivery)
        self._wake(delivery)

    def _seek(self, response_id: str) -> None:
        if response_id not in self._sought:
            self._sought.add(response_id)
            self._start(self._find_sought(response_id))

    async def _find_sought(self, response_id: str) -> None:
        try:
            await self.find(response_id)
        finally:
            self._sought.discard(response_id)

    def _add(self, delivery: DeliveryCursor) -> None:
        self._deliveries[delivery.response_id] = delivery
        writer = self._dispatcher.get(delivery.connection_id)
        if writer is not None:
            writer.add(delivery)
            return
        writer = ConnectionWriter(
            relay_id=self._completion.relay_id,
            connection_id=delivery.connection_id,
            connections=self._connections,
            log=self._log,
            delivered=self._delivered,
            moved=self._moved,
            lagged=self._lagged,
        )
        writer.add(delivery)
        self._dispatcher[delivery.connection_id] = writer
        self._running[writer] = self._start(self._run(writer))

    def _wake(self, delivery: DeliveryCursor) -> None:
        if writer := self._dispatcher.get(delivery.connection_id):
            writer.wake(delivery)

    async def _run(self, writer: ConnectionWriter) -> None:
        try:
            await writer.run()
        except ConnectionGoneError:
            logger.debug("connection %s is gone", writer.connection_id)
            await self._completion.gone(writer.connection_id, self._detach(writer))
        except Exception as error:
            surprise = not isinstance(error, AxonError)
            logger.warning("closing %s: %r", writer.connection_id, error, exc_info=surprise)
            self.close(writer.connection_id, self._detach(writer))
        else:
            self._detach(writer)

    async def _close(self, connection_id: str) -> None:
        try:
            await self._completion.close(connection_id, self._closing[connection_id])
        finally:
            del self._closing[connection_id]

    async def _delivered(self, delivery: DeliveryCursor) -> None:
        del self._deliveries[delivery.response_id]
        self._remember([delivery.response_id], delivery.connection_id)
        await self._completion.delivered(delivery.response_id, delivery.connection_id)

    def _moved(self, delivery: DeliveryCursor) -> None:
        del self._deliveries[delivery.response_id]
        self._seek(delivery.response_id)  # to another connection of this relay, perhaps

    def _detach(self, writer: ConnectionWriter) -> list[str]:
        """Take the writer out, and return what it has not delivered."""
        del self._dispatcher[writer.connection_id]
        del self._running[writer]
        undelivered = [delivery.response_id for delivery in writer.deliveries]
        for response_id in undelivered:
            del self._deliveries[response_id]
        self._remember(undelivered, writer.connection_id)
        return undelivered

    def _remember(self, response_ids: Collection[str], connection_id: str) -> None:
        self._ended.update(((response_id, connection_id), None) for response_id in response_ids)
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def _start(self, settling: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(settling)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a connection could not be settled", exc_info=error)
