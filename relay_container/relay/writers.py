"""The writers of a relay's connections: one task for each connection that waits for something."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from axon.event_log.log import EventLog
from axon.exceptions import AxonError
from axon.management_api import ConnectionGoneError, ConnectionsApi
from axon.tasks import TaskSet
from axon.tracebacks import describe
from relay.closing import ConnectionCloser
from relay.completion import DeliveryCompletion
from relay.connection_writer import ConnectionWriter, Ending
from relay.cursor import DeliveryCursor
from relay.registry import DeliveryRegistry

logger = logging.getLogger(__name__)

HALT_S = 1.0
"""Seconds that a halt waits for posts under way; those that take longer stay in doubt."""


@dataclass(frozen=True, slots=True)
class _Running:
    writer: ConnectionWriter
    task: asyncio.Task[None]


class WriterPool:
    """Starts a writer for a connection's first delivery; it ends after the last one.

    Parameters
    ----------
    connections : ConnectionsApi
        Posts by API Gateway's ``@connections``.
    log : EventLog
        Keeps the checkpoints and is read after a lost publication.
    registry : DeliveryRegistry
        The deliveries of each connection.
    completion : DeliveryCompletion
        Marks deliveries as delivered, or as abandoned when their connection is gone.
    closer : ConnectionCloser
        Closes connections whose client must resume.
    tasks : TaskSet
        Runs the writers.
    moved : Callable[[DeliveryCursor], None]
        Called with each delivery of a response that another relay or connection turned out to have.
    observe_lag : Callable[[float], None]
        Called with the seconds from each event's receipt to its delivery.
    """

    def __init__(
        self,
        *,
        connections: ConnectionsApi,
        log: EventLog,
        registry: DeliveryRegistry,
        completion: DeliveryCompletion,
        closer: ConnectionCloser,
        tasks: TaskSet,
        moved: Callable[[DeliveryCursor], None],
        observe_lag: Callable[[float], None],
    ) -> None:
        self._connections = connections
        self._log = log
        self._registry = registry
        self._completion = completion
        self._closer = closer
        self._tasks = tasks
        self._moved = moved
        self._observe_lag = observe_lag
        self._running: dict[str, _Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    def add(self, delivery: DeliveryCursor) -> None:
        """Deliver a response to its connection."""
        self._writer_of(delivery.connection_id).add(delivery)

    def tell(self, connection_id: str, notice: bytes) -> None:
        """Post an event that belongs to no delivery, after the posts that have begun."""
        self._writer_of(connection_id).tell(notice)

    def close_lane(self, delivery: DeliveryCursor, response_id: str) -> None:
        """Begin no response of a delivery's lane while one that may come first is looked up."""
        lane, running = delivery.position.lane, self._running.get(delivery.connection_id)
        if lane and running:
            running.writer.close_lane(lane, response_id)

    def open_lane(self, delivery: DeliveryCursor, response_id: str) -> None:
        """Undo `close_lane`."""
        if running := self._running.get(delivery.connection_id):
            running.writer.open_lane(delivery.position.lane, response_id)

    def _writer_of(self, connection_id: str) -> ConnectionWriter:
        """Return the connection's writer; a new one runs once the caller has given it work."""
        if running := self._running.get(connection_id):
            return running.writer
        writer = ConnectionWriter(
            relay_id=self._completion.relay_id,
            connection_id=connection_id,
            connections=self._connections,
            log=self._log,
            observe_lag=self._observe_lag,
        )
        # In the dictionary before the task's first step, which looks it up when it ends.
        task = self._tasks.start(self._run(writer))
        self._running[connection_id] = _Running(writer, task)
        return writer

    def wake(self, delivery: DeliveryCursor) -> None:
        """Wake a delivery's writer, because the delivery may be ready."""
        if running := self._running.get(delivery.connection_id):
            running.writer.wake(delivery)

    def drop(self, delivery: DeliveryCursor) -> None:
        """Post no more of a delivery; a post under way is not stopped."""
        if running := self._running.get(delivery.connection_id):
            running.writer.drop(delivery)

    def stop(self, connection_id: str) -> set[str]:
        """Stop a connection's writer, with its post; return the responses not delivered."""
        running = self._running.get(connection_id)
        if running is None:
            return set()
        running.task.cancel()
        return self._detach(running.writer)

    async def halt(self) -> None:
        """Begin no more posts, and close the checkpoint of every delivery.

        The registry keeps those whose checkpoint could not be closed.
        """
        tasks = set()
        for running in self._running.values():
            running.writer.halt()
            tasks.add(running.task)
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=HALT_S)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)

    async def _run(self, writer: ConnectionWriter) -> None:
        try:
            async with aclosing(writer.run()) as endings:
                async for ended in endings:
                    await self._end(ended.delivery, ended.ending)
        except ConnectionGoneError:
            logger.debug("connection %s is gone", writer.connection_id)
            await self._completion.gone(writer.connection_id, self._detach(writer))
        except Exception as error:
            unexpected = not isinstance(error, AxonError)
            logger.warning(
                "closing %s: %s", writer.connection_id, describe(error), exc_info=unexpected
            )
            self._closer.close(writer.connection_id, self._detach(writer))
        else:
            # Without the deliveries that a halt leaves there, it would be as `_detach`.
            del self._running[writer.connection_id]

    async def _end(self, delivery: DeliveryCursor, ending: Ending) -> None:
        if ending is Ending.MOVED:
            self._registry.remove(delivery.response_id)
            self._moved(delivery)
            return
        if ending is Ending.HALTED:
            self._registry.end([delivery.response_id], delivery.connection_id, delivered=False)
            return
        # Noted here before the directory is changed: a publication in between must not start the
        # delivery again.
        self._registry.end([delivery.response_id], delivery.connection_id, delivered=True)
        await self._completion.delivered(delivery.response_id, delivery.connection_id)

    def _detach(self, writer: ConnectionWriter) -> set[str]:
        """Take the writer out; end its deliveries, and return their responses.

        Nothing is awaited between the writer's end and this: a delivery that were added meanwhile
        would have no writer.
        """
        del self._running[writer.connection_id]
        undelivered = {delivery.response_id for delivery in writer.deliveries}
        self._registry.end(undelivered, writer.connection_id, delivered=False)
        return undelivered
