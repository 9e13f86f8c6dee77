"""The merging core of every reader of a response: publications and log reads, in order. No I/O.

The log is the truth. Publications only fill a cache of the log's next events: after a gap, or when
the cache is full, they are dropped, and the log is read once the cache is used up. So memory is
bounded, and no publication that is lost, late, repeated or reordered can lose, repeat or reorder an
event.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from axon.event_log.log import LoggedEvent
from axon.event_log.publication import Publication
from axon.exceptions import LostEventsError

# The log's events are compact JSON that begins with the type.
TERMINAL = tuple(
    b'{"type":"response.%b"' % name for name in (b"completed", b"failed", b"incomplete")
)

CACHE_BYTES = 64 * 1024


class EventMerger:
    """Hands out the events of one response, in order and each once.

    Its user takes events with `peek` and `advance`. While `must_read` is true, it reads the log
    between `begin_read` and `end_read`; publications may arrive meanwhile.

    Parameters
    ----------
    response_id : str
        The response; named in errors and log lines.
    first : int
        Sequence number of the first event to hand out.
    cache_bytes : int
        The most that is kept of events that are not handed out yet (one event at least).
    clock : Callable[[], float]
        Seconds; stamps the receipt of each event.
    """

    def __init__(
        self,
        *,
        response_id: str,
        first: int = 0,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.response_id = response_id
        self.known = first
        """Number of events that the log holds, as far as is known here."""
        self._next = first
        self._last: bytes | None = None
        self._contradicted = False
        self._end: int | None = None
        self._cache: deque[tuple[bytes, float]] = deque()  # with the time of each one's receipt
        self._cached_bytes = 0
        self._cache_bytes = cache_bytes
        self._clock = clock
        self._read_requested = False
        self._read_from = 0
        self._known_before_read = 0

    @property
    def next_sequence(self) -> int:
        """The sequence number of the event that is next."""
        return self._next

    @property
    def finished(self) -> bool:
        """True once the terminal event was handed out."""
        return self._next == self._end

    @property
    def must_read(self) -> bool:
        """True while no event can be handed out before the log was read."""
        # While the cache holds events, a read would only fetch what is here already. They are used
        # up first, even when a gap follows.
        behind = self._read_requested or self.known > self._next
        if self._contradicted:
            return True
        return not self._cache and not self.finished and behind

    @property
    def ready(self) -> bool:
        """True while there is an event to hand out, or the log to read."""
        return bool(self._cache) or self.must_read

    def publish(self, publication: Publication) -> None:
        """Take what was published, as far as it follows on what is known."""
        end = publication.first + len(publication.events)
        if self._last is not None and publication.first < self._next <= end:
            # The attempt that has lost events appends the same ones again. Another one, which knows
            # neither of them nor of having been fenced, appends others.
            held = publication.events[self._next - 1 - publication.first]
            self._contradicted = self._contradicted or held != self._last
        if self._contradicted:
            self.request_read()
            return
        if publication.terminal and end <= self._next:
            # The log has ended with fewer events than were handed out: other ones than these.
            self.request_read()
            return
        if publication.first == 0 == self._next and not self._cache:
            # The log's first event: no publication before it can have been lost.
            self._read_requested = False
        self.learn(end, ended=publication.terminal)
        # Repeated and overlapping publications bring events that are here already. After a gap
        # nothing is kept: `known` has grown, so the log is read once the cache is used up.
        skip = self._next + len(self._cache) - publication.first
        if skip >= 0:
            for event in publication.events[skip:]:
                if not self._keep(event):
                    break

    def learn(self, known: int, *, ended: bool) -> None:
        """Note that the log holds `known` events, and whether the last of them is the terminal."""
        self.known = max(self.known, known)
        if ended:
            self._end = known

    def forget(self) -> None:
        """Drop all that was published and not handed out, and read the log instead.

        To be called when the log has another generation: it may lack what the one before published.
        """
        self._cache.clear()
        self._cached_bytes = 0
        self.known = self._next
        self._end = None
        self.request_read()

    def postpone_read(self) -> None:
        """End a read that has brought nothing: the log is behind, and another read follows."""
        self.known = self._next

    def request_read(self) -> None:
        """Request a read of the log, because publications may have been lost."""
        self._read_requested = True

    def begin_read(self) -> int:
        """Return the sequence number after which the log is to be read.

        Raises
        ------
        LostEventsError
            The log has another event than the last one that was handed out.
        """
        if self._contradicted:
            raise LostEventsError(f"{self.response_id}: its log has other events than before")
        # Cleared before the read, not after it: a request that comes while the read is under way
        # may be about an event that the read does not see.
        self._read_requested = False
        self._read_from = self._first_to_read()
        self._known_before_read = self.known
        return self._read_from - 1

    def end_read(self, events: Sequence[LoggedEvent], *, complete: bool = True) -> None:
        """Take what the log holds.

        Parameters
        ----------
        events : Sequence[LoggedEvent]
            The answer to the read, in order.
        complete : bool
            Whether this was all; otherwise the read had a limit, and another one follows.

        Raises
        ------
        LostEventsError
            The log does not go on with the next event.
        """
        # An empty answer proves a loss only if the log was known, before the read, to hold more:
        # what was published during the read may have been appended after it.
        held = events[0].sequence_number if events else self._known_before_read
        if held > self._read_from and not self._cache:
            raise LostEventsError(f"{self.response_id}: the log has no event {self._read_from}")
        for event in events:
            # Publications that came during the read may have brought some of these.
            expected = self._next + len(self._cache)
            if event.sequence_number == expected and not self._keep(event.data):
                break
        if events:
            last = events[-1]
            self.learn(last.sequence_number + 1, ended=last.data.startswith(TERMINAL))
        if not complete:
            self.request_read()

    def peek(self) -> bytes | None:
        """Return the event to hand out next, if it is here."""
        return self._cache[0][0] if self._cache else None

    def advance(self) -> float:
        """Move past the event that `peek` returned; return the seconds since its receipt."""
        event, received_at = self._cache.popleft()
        self._cached_bytes -= len(event)
        self._last = event
        self._next += 1
        return self._clock() - received_at

    def _first_to_read(self) -> int:
        return self._next

    def _keep(self, event: bytes) -> bool:
        if self._cache and self._cached_bytes + len(event) > self._cache_bytes:
            return False
        self._cache.append((event, self._clock()))
        self._cached_bytes += len(event)
        return True
