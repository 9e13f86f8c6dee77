"""Notices to connections whose response has moved to another one."""

from axon.event_log.log import EventLog
from axon.exceptions import RequestError
from axon.formats import UnreadableLogError, log_refusal
from axon.protocol.errors import error_event
from axon.serialization import dumps
from axon.tasks import TaskSet
from relay.closing import ConnectionCloser
from relay.cursor import DeliveryCursor
from relay.retries import UNTIL_DONE
from relay.writers import WriterPool


class MoveNotices:
    """Tells a connection once that it gets no more of a response, and who does.

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

    def tell(self, delivery: DeliveryCursor, to: str) -> None:
        """Tell the connection of a delivery that `to` has the response now, if it is another one.

        Parameters
        ----------
        delivery : DeliveryCursor
            The delivery that was dropped.
        to : str
            The connection that gets the response; empty if that is not known.
        """
        former = delivery.connection_id
        if to not in ("", former) and not self._closer.is_closing(former):
            self._writers.tell(former, _notice(delivery))

    def find_out(self, delivery: DeliveryCursor) -> None:
        """Look up where a delivery has gone that the log does not let this relay post any more."""
        self._writers.close_lane(delivery, delivery.response_id)
        self._tasks.start(self._find_out(delivery))

    async def _find_out(self, delivery: DeliveryCursor) -> None:
        try:
            meta = await UNTIL_DONE.run(lambda: self._log.describe(delivery.response_id))
            if meta is not None:
                self.tell(delivery, meta.connection_id)
        except UnreadableLogError as error:
            log_refusal(error)
        finally:
            self._writers.open_lane(delivery, delivery.response_id)


def _notice(delivery: DeliveryCursor) -> bytes:
    response_id = delivery.response_id
    refusal = RequestError(
        f"Response '{response_id}' was resumed on another connection and goes on there. Send "
        "response.resume to have it on this one again.",
        code="response_moved",
        status=409,
    )
    event = error_event(refusal, stream_id=delivery.position.stream_id)
    return dumps(event | {"response_id": response_id})
