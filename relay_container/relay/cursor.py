"""One response's way to one connection: the merging core, and what a delivery adds. No I/O."""

import time
from collections.abc import Callable, Sequence

from typing_extensions import override

from axon.event_log.lanes import NO_LANE, LanePosition
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
    position : LanePosition
        Place in a lane of the connection.
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
        position: LanePosition = NO_LANE,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(response_id=response_id, first=first, cache_bytes=cache_bytes, clock=clock)
        self.connection_id = connection_id
        self.generation = generation
        self.first = first
        self.position = position
        self.waiting = False
        """True while another response of its lane comes first: then it posts and keeps nothing."""
        self.announced = True
        """True once the publication that began it has arrived; until then it may still come."""
        self._granted: int | None = None
        self._takes_grants = True
        self._must_return_grant = False
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

    @property
    def must_close(self) -> bool:
        """True if a delivery that waits has to write a closed checkpoint.

        Either the log has a grant that is not used, or a look at the log is due: the checkpoint
        also tells whether another relay or connection has the response, and keeps its log.
        """
        return self._must_return_grant or self._read_requested

    def hold_back(self) -> None:
        """Wait for the lane: keep nothing of what was published, and return what was granted."""
        known, self._must_return_grant = self.known, self._granted is not None
        if self._cache or self._must_return_grant:
            self.forget()
            # The log is still known to hold what is dropped here.
            self.learn(known, ended=False)
        self.waiting = True
        self._takes_grants = False

    def go_ahead(self) -> None:
        """Wait no longer: go on with what the log has."""
        self.waiting = self._must_return_grant = False
        self.request_read()

    def closed(self) -> None:
        """Note that a closed checkpoint is being written."""
        self._must_return_grant = self._read_requested = False

    def take_grants(self) -> None:
        """Note that the log has a certain checkpoint of this relay, so that it may grant events."""
        self._takes_grants = True

    @override
    def publish(self, publication: Publication) -> None:
        if self.waiting:
            # The log has all of it, and is read once the lane is free.
            self._must_return_grant = self._must_return_grant or publication.granted
            self.learn(publication.first + len(publication.events), ended=False)
            return
        # One from the time when the delivery waited may come after the closed checkpoint that has
        # taken it back: a relay that takes over would post once more what was posted on it.
        if publication.granted and self._takes_grants:
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
