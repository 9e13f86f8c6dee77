"""The deliveries of a relay, and those that have ended lately."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from relay.cursor import DeliveryCursor

REMEMBERED = 10_000
"""Number of ended deliveries that are remembered: late publications must not start them again."""


class DeliveryRegistry:
    """Knows each response's delivery, at most one, and which deliveries have ended.

    A delivery is in one of three states here:

    - unknown: a publication of event 0 starts it, any other one makes the relay look into the log;
    - running: in `running`, and in its connection's writer;
    - ended: delivered to the end, or given up because its connection is gone or must not receive
      more. Publications are ignored until the response is resumed, which makes it running again.
    """

    def __init__(self) -> None:
        self._running: dict[str, DeliveryCursor] = {}
        self._ended: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._unannounced: dict[tuple[str, str], int] = {}

    @property
    def running(self) -> Mapping[str, DeliveryCursor]:
        """Deliveries that have not ended, by response id."""
        return self._running

    def has_ended(self, response_id: str, connection_id: str) -> bool:
        """Return whether the response's delivery to this connection has ended here."""
        return (response_id, connection_id) in self._ended

    def was_delivered(self, response_id: str, connection_id: str) -> bool:
        """Return whether the delivery has ended with the response's last event."""
        return self._ended.get((response_id, connection_id), False)

    def was_begun_by(self, response_id: str, connection_id: str, *, first: int) -> bool:
        """Return whether a publication is the late one of a delivery that has ended meanwhile.

        That delivery was found in the log before the publication of its resumption arrived, and
        began at `first`. It is asked about once: the next publication is another resumption's.
        """
        if self._unannounced.get((response_id, connection_id)) != first:
            return False
        del self._unannounced[response_id, connection_id]
        return True

    def add(self, delivery: DeliveryCursor) -> None:
        """Add a delivery; if one to the same connection has ended, it counts no more."""
        self._ended.pop((delivery.response_id, delivery.connection_id), None)
        self._unannounced.pop((delivery.response_id, delivery.connection_id), None)
        self._running[delivery.response_id] = delivery

    def remove(self, response_id: str) -> DeliveryCursor | None:
        """Remove a delivery that another relay or connection goes on with; return it."""
        return self._running.pop(response_id, None)

    def end(self, response_ids: Iterable[str], connection_id: str, *, delivered: bool) -> None:
        """Mark deliveries to a connection as ended, whether they are running here or not.

        Parameters
        ----------
        response_ids : Iterable[str]
            The deliveries' responses.
        connection_id : str
            The connection.
        delivered : bool
            True if they were delivered to the end, False if they were given up.
        """
        for response_id in response_ids:
            delivery = self._running.get(response_id)
            # The response may be running to another connection already.
            if delivery is not None and delivery.connection_id == connection_id:
                del self._running[response_id]
                if delivered and not delivery.announced:
                    self._unannounced[response_id, connection_id] = delivery.first
            self._ended[response_id, connection_id] = delivered
        while len(self._ended) > REMEMBERED:
            oldest, _ = self._ended.popitem(last=False)
            self._unannounced.pop(oldest, None)
