"""Notices to requests whose response has moved to another connection or lane."""

from dataclasses import dataclass
from typing import Self

from axon.event_log.log import EventLog, ResponseMeta
from axon.exceptions import RequestError
from axon.formats import UnreadableLogError, log_refusal
from axon.protocol.errors import error_event
from axon.serialization import dumps
from axon.tasks import TaskSet
from relay.closing import ConnectionCloser
from relay.cursor import DeliveryCursor
from relay.retries import UNTIL_DONE
from relay.writers import WriterPool


@dataclass(frozen=True, slots=True)
class Destination:
    """The place that a response is delivered to; the lane is empty if that is not known."""

    connection_id: str
    lane: str = ""

    @classmethod
    def of(cls, response: DeliveryCursor | ResponseMeta) -> Self:
        """Return the place of a delivery, or the one that the log has."""
        return cls(response.connection_id, response.position.lane)


class MoveNotices:
    """Tells a request once that it gets no more of a response, and which one does.

    Each delivery leaves this relay once, and who takes it out calls `tell` or `find_out`.

    Parameters
    ----------
    log : EventLog
        Says which connection has a response.
    writers : WriterPool
        Posts the notices, after the last event that was posted and before the lane's next one.
    closer : ConnectionCloser
        A connection that is being closed gets none.
    tasks : TaskSet
        Runs `find_out`.
    """

    def __init__(
        self, *, log: EventLog, writers: WriterPool, closer: ConnectionCloser, tasks: TaskSet
    ) -> None:
        self._log = log
        self._writers = writers
        self._closer = closer
        self._tasks = tasks

    def tell(self, delivery: DeliveryCursor, to: Destination | None) -> None:
        """Tell the client of a delivery, in its lane, that another connection or lane has it now.

        Parameters
        ----------
        delivery : DeliveryCursor
            The delivery that was dropped.
        to : Destination | None
            The place that gets the response; None if that is not known.
        """
        former = Destination.of(delivery)
        if to is None or self._closer.is_closing(former.connection_id):
            return
        if to.connection_id != former.connection_id:
            self._writers.tell(former.connection_id, _notice(delivery, "another connection"))
        elif to.lane not in ("", former.lane):
            self._writers.tell(former.connection_id, _notice(delivery, "another stream_id"))

    def find_out(self, delivery: DeliveryCursor) -> None:
        """Look up where a delivery has gone that the log does not let this relay post any more."""
        self._writers.close_lane(delivery, delivery.response_id)
        self._tasks.start(self._find_out(delivery))

    async def _find_out(self, delivery: DeliveryCursor) -> None:
        try:
            meta = await UNTIL_DONE.run(lambda: self._log.describe(delivery.response_id))
            if meta is not None:
                self.tell(delivery, Destination.of(meta))
        except UnreadableLogError as error:
            log_refusal(error)
        finally:
            self._writers.open_lane(delivery, delivery.response_id)


def _notice(delivery: DeliveryCursor, where: str) -> bytes:
    response_id = delivery.response_id
    refusal = RequestError(
        f"Response '{response_id}' was asked for again on {where} and goes on there. Send "
        "response.resume to have it here again.",
        code="response_moved",
        status=409,
    )
    event = error_event(refusal, stream_id=delivery.position.stream_id)
    return dumps(event | {"response_id": response_id})
