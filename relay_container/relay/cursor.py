"""One response's way to one connection: the merging core, and what a delivery adds. No I/O."""

import time
from collections.abc import Callable, Sequence

from typing_extensions import override

from axon.event_log.log import LoggedEvent
from axon.event_log.merger import CACHE_BYTES, EventMerger
from axon.event_log.publication import Publication


class DeliveryCursor(EventMerger):
    """The position of a response's delivery to one connection.

    Parameters
    ----------
    response_id : str
        The response that is delivered.
    connection_id : str
        The connection that it is delivered to.
    first : int
        Sequence number of the first event to deliver.
    generation : str
        Generation of the log in which the position was last certain.
    resumed : bool
        Whether the log is known to hold what comes before `first`, or `first` itself if that is 0.
    cache_bytes : int
        The most that is kept of what was published (one event at least).
    clock : Callable[[], float]
        Seconds, for the time between an event's receipt and its delivery.
    """

    def __init__(
        self,
        *,
        response_id: str,
        connection_id: str,
        first: int = 0,
        generation: str = "",
        resumed: bool = False,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(response_id=response_id, first=first, cache_bytes=cache_bytes, clock=clock)
        self.connection_id = connection_id
        self.generation = generation
        self.first = first
        self.announced = True
        """True once the publication that began it has arrived; until then it may still come."""
        self._granted: int | None = None
        # A resumed response may have ended at `first` already. Only the event before it tells, so
        # the first read begins there.
        self._look_back = resumed and first > 0
        if resumed:
            self.learn(max(first, 1), ended=False)
            self.request_read()

    @property
    def granted(self) -> bool:
        """True if the next event was granted: it may be posted without a checkpoint."""
        return self.next_sequence == self._granted

    @override
    def publish(self, publication: Publication) -> None:
        if publication.granted:
            self._granted = publication.first
        super().publish(publication)

    @override
    def forget(self) -> None:
        super().forget()
        self._granted = None

    @override
    def end_read(self, events: Sequence[LoggedEvent], *, complete: bool = True) -> None:
        if self._look_back and events and events[0].sequence_number == self.next_sequence:
            # A log that has failed after a loss may have a hole right before the failure. The
            # client has the event that the look back has not found.
            self._read_from = self.next_sequence
        super().end_read(events, complete=complete)
        self._look_back = False

    @override
    def _first_to_read(self) -> int:
        return self.next_sequence - self._look_back
