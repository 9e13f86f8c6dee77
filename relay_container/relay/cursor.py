"""One response's way to its client: which event is next, and when the log must be read. No I/O.

The log is the truth. What was published is kept only as a cache of the log's next events: after
a gap, or when the cache is full, publications are dropped and the log is read once the cache is
used up. So memory is bounded, and nothing that happens to publications can lose, repeat or
reorder an event.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from axon.event_log.log import LoggedEvent
from axon.event_log.publication import Publication
from axon.exceptions import AxonError

# The log's events are compact JSON that begins with the type.
TERMINAL = tuple(
    b'{"type":"response.%b"' % name for name in (b"completed", b"failed", b"incomplete")
)


class LostEventsError(AxonError):
    """The log no longer holds an event that the client has not got."""


class DeliveryCursor:
    """Hands out the events of one response, in order and each once.

    Parameters
    ----------
    first : int
        The number of the first one.
    resumed : bool
        The log is known to hold what comes before `first`, or `first` itself if that is 0.
    cache_bytes : int
        The most that is kept of what was published (one event at least).
    """

    def __init__(
        self,
        *,
        response_id: str,
        connection_id: str,
        first: int = 0,
        resumed: bool = False,
        cache_bytes: int = 64 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.response_id = response_id
        self.connection_id = connection_id
        self.first = first
        self.announced = True
        """Whether the publication that began it was heard; if not, it may be on its way."""
        self.known = max(first, 1) if resumed else first
        """How many events the log holds, as far as is known here."""
        self._next = first
        self._granted: int | None = None
        self._look_back = resumed and first > 0
        self._end: int | None = None
        self._cache: deque[tuple[bytes, float]] = deque()  # with the time of each one's receipt
        self._cached_bytes = 0
        self._cache_bytes = cache_bytes
        self._clock = clock
        self._doubted = resumed
        self._asked = 0
        self._known_before_read = 0

    @property
    def next_sequence(self) -> int:
        """The number of the event that is next."""
        return self._next

    @property
    def granted(self) -> bool:
        """Whether the log knows, without being told, that the next event may be posted."""
        return self._next == self._granted

    @property
    def finished(self) -> bool:
        """Whether the terminal event was posted."""
        return self._next == self._end

    @property
    def must_read(self) -> bool:
        """Whether nothing can be posted before the log was read."""
        return not self._cache and not self.finished and (self._doubted or self.known > self._next)

    @property
    def ready(self) -> bool:
        """Whether there is something to do."""
        return bool(self._cache) or self.must_read

    def publish(self, publication: Publication) -> None:
        """Take what was published, as far as it follows on what is known."""
        if publication.granted:
            self._granted = publication.first
        self._learn(publication.first + len(publication.events), publication.terminal)
        skip = self._next + len(self._cache) - publication.first
        if skip >= 0:
            for event in publication.events[skip:]:
                if not self._keep(event):
                    break

    def doubt(self) -> None:
        """Publications may have been lost: the log has the last word."""
        self._doubted = True

    def begin_read(self) -> int:
        """Return the number after which the log is to be read.

        The first read of a resumed response begins one event earlier: that may be the last one.
        """
        self._doubted = False
        self._asked = self._next - self._look_back
        self._known_before_read = self.known
        return self._asked - 1

    def end_read(self, events: Sequence[LoggedEvent], *, complete: bool = True) -> None:
        """Take what the log holds; there is more of it if that is not `complete`.

        Raises
        ------
        LostEventsError
            It does not go on where the client stands.
        """
        held = events[0].sequence_number if events else self._known_before_read
        if held > self._asked and not self._cache:
            raise LostEventsError(f"{self.response_id}: the log has no event {self._asked}")
        self._look_back = False
        for event in events:
            expected = self._next + len(self._cache)
            if event.sequence_number == expected and not self._keep(event.data):
                break
        if events:
            last = events[-1]
            self._learn(last.sequence_number + 1, last.data.startswith(TERMINAL))
        if not complete:
            self.doubt()

    def peek(self) -> bytes | None:
        """Return the event to post next, if it is at hand."""
        return self._cache[0][0] if self._cache else None

    def posted(self) -> float:
        """The event that `peek` returned has reached the client; return how long it was here."""
        event, received_at = self._cache.popleft()
        self._cached_bytes -= len(event)
        self._next += 1
        return self._clock() - received_at

    def _learn(self, known: int, ended: bool) -> None:
        self.known = max(self.known, known)
        if ended:
            self._end = known

    def _keep(self, event: bytes) -> bool:
        if self._cache and self._cached_bytes + len(event) > self._cache_bytes:
            return False
        self._cache.append((event, self._clock()))
        self._cached_bytes += len(event)
        return True
