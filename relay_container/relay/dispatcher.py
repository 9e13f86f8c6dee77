"""The dispatcher: brings each publication to its delivery, each delivery to its writer."""

from collections.abc import Callable, Collection, Mapping

from axon.event_log.checkpoint import TailState
from axon.event_log.lanes import NO_LANE, LanePosition
from axon.event_log.log import EventLog, ResponseMeta
from axon.event_log.publication import Kind, Publication
from axon.formats import UnreadableLogError, log_refusal
from axon.management_api import ConnectionsApi
from axon.tasks import TaskSet
from relay.closing import ConnectionCloser
from relay.completion import DeliveryCompletion
from relay.cursor import DeliveryCursor
from relay.moves import Destination, MoveNotices
from relay.predecessors import PredecessorSearch
from relay.registry import DeliveryRegistry
from relay.retries import UNTIL_DONE
from relay.writers import WriterPool


class Dispatcher:
    """Starts, replaces and ends the deliveries of one relay, on one event loop.

    What a publication or another part of the relay says takes effect at once; only `find`, `drain`,
    `halt` and `cancel` wait.

    Parameters
    ----------
    connections : ConnectionsApi
        Posts and closes by API Gateway's ``@connections``.
    log : EventLog
        Keeps the checkpoints and is read after a lost publication.
    completion : DeliveryCompletion
        Marks deliveries as delivered, or as abandoned when their connection is gone.
    observe_lag : Callable[[float], None]
        Called with the seconds from each event's receipt to its delivery.
    """

    def __init__(
        self,
        *,
        connections: ConnectionsApi,
        log: EventLog,
        completion: DeliveryCompletion,
        observe_lag: Callable[[float], None],
    ) -> None:
        self._log = log
        self._completion = completion
        self._tasks = TaskSet(error="the deliveries of a connection could not be completed")
        self._registry = DeliveryRegistry()
        self._closer = ConnectionCloser(completion=completion, tasks=self._tasks)
        self._writers = WriterPool(
            connections=connections,
            log=log,
            registry=self._registry,
            completion=completion,
            closer=self._closer,
            tasks=self._tasks,
            moved=self._has_moved,
            observe_lag=observe_lag,
        )
        self._moves = MoveNotices(
            log=log, writers=self._writers, closer=self._closer, tasks=self._tasks
        )
        self._predecessors = PredecessorSearch(
            log=log,
            completion=completion,
            registry=self._registry,
            writers=self._writers,
            tasks=self._tasks,
            find=self.find,
        )
        self._looking_up: dict[str, bool] = {}
        """Responses that are looked up in the log; True if that is to be done again."""
        self._dropped: dict[str, DeliveryCursor] = {}
        """Deliveries that a look-up brings back; until then their lanes are closed."""
        self._accepting = False

    @property
    def deliveries(self) -> Mapping[str, DeliveryCursor]:
        """Deliveries that have not ended, by response id."""
        return self._registry.running

    @property
    def connections(self) -> int:
        """Number of connections that wait for something."""
        return len(self._writers)

    def has_ended(self, response_id: str, connection_id: str) -> bool:
        """Return whether the response's delivery to this connection has ended here."""
        return self._registry.has_ended(response_id, connection_id)

    def accept(self) -> None:
        """Deliver what is published from now on."""
        # What was published earlier was for an earlier process with this relay's id. Its responses
        # are taken over, with their checkpoints, before this one delivers anything.
        self._accepting = True

    def receive(self, publication: Publication) -> None:
        """Take a publication from the relay's channel."""
        if not self._accepting:
            return
        match publication.kind:
            case Kind.RESUMED:
                self._resume(publication)
            case Kind.MOVED:
                self._leave(publication)
            case _:
                self._publish(publication)

    def deliver_from(
        self,
        response_id: str,
        connection_id: str,
        *,
        first: int,
        position: LanePosition = NO_LANE,
    ) -> None:
        """Deliver a response from event `first` on, unless that is under way here."""
        delivery = self.deliveries.get(response_id)
        # A delivery that is behind `first` is one of this relay's before another relay took the
        # response over and went on with it: the client has the events in between.
        if (
            delivery is None
            or delivery.connection_id != connection_id
            or delivery.next_sequence < first
        ):
            self._replace(
                response_id, connection_id, first=first, position=position, announced=True
            )

    async def find(self, response_id: str) -> None:
        """Look a response up in the log, and do what follows for this relay."""
        try:
            meta = await UNTIL_DONE.run(lambda: self._log.describe(response_id))
        except UnreadableLogError as error:
            log_refusal(error)
            # Nothing of it can be delivered here. The client gets an event that says so, and
            # resumes where a relay of the newer version may serve it.
            if error.relay_id == self._completion.relay_id:
                self.close(error.connection_id, [response_id])
            return
        # A publication may have started it meanwhile, or the relay may have begun to leave.
        if response_id in self.deliveries or not self._accepting:
            return
        if meta is None:
            await self._completion.forget(response_id)
        elif meta.relay_id == self._completion.relay_id:
            await self._found(meta)

    def drop(self, response_id: str, *, to: Destination | None = None) -> None:
        """Deliver no more of a response: another relay, connection or lane has it now.

        Parameters
        ----------
        response_id : str
            The response; one that is not delivered here is ignored.
        to : Destination | None
            The place that has it; if that is another one, the delivery's gets a notice. None if
            that is not known.
        """
        delivery = self._registry.remove(response_id)
        if delivery is not None:
            self._writers.drop(delivery)
            self._moves.tell(delivery, to)

    def request_read(self, delivery: DeliveryCursor) -> None:
        """Make a delivery read the log, because publications of it may have been lost."""
        delivery.request_read()
        self._writers.wake(delivery)

    def confirm_all(self) -> None:
        """Make every delivery write its checkpoint in a new generation of the log, if it has one.

        An attempt that does not hold what a failover has lost waits for that.
        """
        for delivery in self.deliveries.values():
            if delivery.generation != self._log.generation:
                self.request_read(delivery)

    def request_read_all(self) -> None:
        """Make every delivery read the log, as after a new subscription."""
        for delivery in self.deliveries.values():
            self.request_read(delivery)

    def close(self, connection_id: str, response_ids: Collection[str] = ()) -> None:
        """Close a connection that must not receive more, of these responses or of any."""
        undelivered = {*response_ids, *self._writers.stop(connection_id)}
        self._registry.end(undelivered, connection_id, delivered=False)
        self._closer.close(connection_id, undelivered)

    def close_all(self) -> None:
        """Close the connections of all deliveries that have not ended."""
        for response_id, delivery in tuple(self.deliveries.items()):
            self.close(delivery.connection_id, [response_id])

    async def drain(self) -> None:
        """Wait until everything is delivered and completed."""
        await self._tasks.drain()

    async def halt(self) -> None:
        """Post no more, and close every checkpoint: another relay continues from there.

        `deliveries` has those whose checkpoint could not be closed.
        """
        self._accepting = False
        await self._writers.halt()

    async def cancel(self) -> None:
        """End all tasks, and leave everything as it is."""
        await self._tasks.cancel()

    def _publish(self, publication: Publication) -> None:
        response_id, connection_id = publication.response_id, publication.connection_id
        if self.has_ended(response_id, connection_id) or self._closer.is_closing(connection_id):
            return
        delivery = self.deliveries.get(response_id)
        current = publication.generation in ("", self._log.generation)
        if delivery is not None and delivery.connection_id != connection_id:
            if not current or delivery.generation != self._log.generation:
                # A failover may have undone the move to the delivery's connection, or the
                # publication is older than that move. The log decides, before the next post, and
                # closes a connection of which it knows nothing: its client would wait for ever.
                self.request_read(delivery)
                return
            # The response was resumed on another connection, and the publication of that was lost
            # or is late.
            self.drop(response_id, to=Destination(connection_id))
            delivery = None
        if not current:
            # Published by a server that commands do not go to: before a failover, or just after it.
            # The log that commands read decides what is posted.
            if delivery is not None:
                self.request_read(delivery)
            else:
                self._look_up(response_id)
            return
        if delivery is None and publication.first > 0:
            # The publication that said where to begin was lost: only the checkpoint knows.
            self._look_up(response_id)
            return
        if delivery is None:
            delivery = DeliveryCursor(
                response_id=response_id,
                connection_id=connection_id,
                generation=self._log.generation,
                position=publication.position,
            )
            self._add(delivery)
        delivery.publish(publication)
        self._writers.wake(delivery)

    def _resume(self, publication: Publication) -> None:
        response_id, connection_id = publication.response_id, publication.connection_id
        if self._closer.is_closing(connection_id):
            return
        if response_id in self._looking_up:
            # The log may be read before this resumption or after it: to begin where it says could
            # post events twice.
            self._looking_up[response_id] = True
            return
        delivery = self.deliveries.get(response_id)
        if delivery is not None and not delivery.announced:
            # The log was looked up before this publication arrived, and the delivery has begun. To
            # begin again would post its first events twice.
            place = Destination(connection_id, publication.position.lane)
            if (Destination.of(delivery), delivery.first) == (place, publication.first):
                delivery.announced = True
                return
            # One of the two is older, and only the log knows which. Of several resumptions it has
            # the last one, and how much of that was delivered.
            self._drop_for_now(delivery)
            self._look_up(response_id)
            return
        if delivery is None and self._registry.was_begun_by(
            response_id, connection_id, first=publication.first
        ):
            return
        # If the server of the publication is lost, so may be the move: the first turn finds out.
        generation = publication.generation or self._log.generation
        self._replace(
            response_id,
            connection_id,
            first=publication.first,
            position=publication.position,
            announced=True,
            generation=generation,
        )

    def _leave(self, publication: Publication) -> None:
        """Deliver no more of a response to a connection: it has moved."""
        delivery = self.deliveries.get(publication.response_id)
        if delivery is not None and delivery.connection_id == publication.connection_id:
            self.drop(
                publication.response_id,
                to=Destination(publication.to) if publication.to else None,
            )

    async def _found(self, meta: ResponseMeta) -> None:
        response_id, connection_id = meta.response_id, meta.connection_id
        if self._closer.is_closing(connection_id):
            return
        in_doubt = meta.checkpoint.tail is TailState.IN_DOUBT
        if not meta.checkpoint.certain and self._registry.was_delivered(response_id, connection_id):
            # Only the directory does not know it yet, or has lost it in a failover.
            await self._completion.delivered(response_id, connection_id)
        elif in_doubt:
            # Some relay was posting. Nobody knows whether its post has arrived.
            self.close(connection_id, [response_id])
        else:
            # Certain, or granted to this relay, which never received the grant: nobody has posted.
            first = meta.checkpoint.next_sequence
            self._replace(
                response_id, connection_id, first=first, position=meta.position, announced=False
            )

    def _has_moved(self, delivery: DeliveryCursor) -> None:
        """Look up who has a response that the log does not let this relay post any more."""
        self._moves.find_out(delivery)
        self._look_up(delivery.response_id)

    def _look_up(self, response_id: str) -> None:
        """Start `find`, unless it is under way for this response."""
        if response_id not in self._looking_up:
            self._looking_up[response_id] = False
            self._tasks.start(self._find_once(response_id))

    async def _find_once(self, response_id: str) -> None:
        try:
            await self.find(response_id)
            while self._looking_up[response_id]:
                self._looking_up[response_id] = False
                if response_id in self.deliveries:
                    self._drop_for_now(self.deliveries[response_id])
                await self.find(response_id)
        finally:
            del self._looking_up[response_id]
            if dropped := self._dropped.pop(response_id, None):
                self._writers.open_lane(dropped, response_id)

    def _drop_for_now(self, delivery: DeliveryCursor) -> None:
        """Deliver no more of a response, and begin none of its lane, until it is looked up."""
        self._writers.close_lane(delivery, delivery.response_id)
        self._dropped[delivery.response_id] = delivery
        self.drop(delivery.response_id)

    def _replace(
        self,
        response_id: str,
        connection_id: str,
        *,
        first: int,
        position: LanePosition,
        announced: bool,
        generation: str | None = None,
    ) -> None:
        self.drop(response_id, to=Destination(connection_id, position.lane))
        delivery = DeliveryCursor(
            response_id=response_id,
            connection_id=connection_id,
            first=first,
            generation=self._log.generation if generation is None else generation,
            resumed=True,
            position=position,
        )
        delivery.announced = announced
        self._add(delivery)
        self._writers.wake(delivery)

    def _add(self, delivery: DeliveryCursor) -> None:
        self._registry.add(delivery)
        self._writers.add(delivery)
        self._predecessors.begin(delivery)
