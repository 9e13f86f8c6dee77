"""Events, publications and every interleaving of them, for the merging core and its users."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from axon.event_log.log import LoggedEvent
from axon.event_log.merger import EventMerger
from axon.event_log.publication import Kind, Publication


def event(number: int, *, size: int = 1) -> bytes:
    return b'{"type":"response.output_text.delta","n":%d,"delta":"%s"}' % (number, b"x" * size)


LAST = b'{"type":"response.completed","n":0}'


def publication(first: int, events: Sequence[bytes], *, terminal: bool = False) -> Publication:
    return Publication("resp_1", "c1", first, Kind.LAST_EVENTS if terminal else Kind.EVENTS, events)


def drain(subject: EventMerger) -> list[bytes]:
    posted = []
    while (following := subject.peek()) is not None:
        posted.append(following)
        subject.advance()
    return posted


def logged(*events: bytes) -> list[LoggedEvent]:
    return [LoggedEvent(number, data) for number, data in enumerate(events)]


class Interleavings(RuleBasedStateMachine):
    """Appends, publications that are dropped, repeated or reordered, posts and reads.

    A read answers what the log held at some moment between its beginning and its end, as far as
    its limit goes. The delivery begins with event 0, or is resumed with any that the log has or
    will have next.
    """

    @initialize(
        cache_bytes=st.sampled_from([1, 150, 100_000]),
        last=st.integers(0, 12),
        limit=st.integers(2, 6),
        resumed_at=st.none() | st.integers(0, 13),
    )
    def begin(self, cache_bytes: int, last: int, limit: int, resumed_at: int | None) -> None:
        self.last = last
        self.limit = limit
        self.first = min(resumed_at or 0, last + 1)
        resumed = resumed_at is not None
        numbers = range(max(self.first, 1) if resumed else 0)
        self.log: list[bytes] = [LAST if number == last else event(number) for number in numbers]
        self.subject = self.new_subject(cache_bytes, resumed=resumed)
        self.on_the_way: list[Publication] = []
        self.arrived: list[bytes] = []
        self.after: int | None = None
        self.read: list[LoggedEvent] | None = None

    def new_subject(self, cache_bytes: int, *, resumed: bool) -> EventMerger:
        """Return what is tested; `resumed` if it may begin after event 0."""
        raise NotImplementedError

    @precondition(lambda self: len(self.log) <= self.last)
    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        first = len(self.log)
        numbers = range(first, min(first + count, self.last + 1))
        self.log += [LAST if number == self.last else event(number) for number in numbers]
        ended = len(self.log) > self.last
        self.on_the_way.append(publication(first, self.log[first:], terminal=ended))

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), keep=st.booleans())
    def arrive(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.on_the_way) - 1))
        self.subject.publish(self.on_the_way[index])
        if not keep:
            del self.on_the_way[index]

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        del self.on_the_way[data.draw(st.integers(0, len(self.on_the_way) - 1))]

    @rule()
    def request_read(self) -> None:
        self.subject.request_read()

    @precondition(lambda self: self.after is None)
    @rule()
    def post(self) -> None:
        following = self.subject.peek()
        if following is not None:
            self.arrived.append(following)
            self.subject.advance()

    @precondition(lambda self: self.after is None and self.subject.must_read)
    @rule()
    def begin_read(self) -> None:
        self.after = self.subject.begin_read()

    @precondition(lambda self: self.after is not None)
    @rule()
    def read_log(self) -> None:
        first = (-1 if self.after is None else self.after) + 1
        events = enumerate(self.log[first:], start=first)
        self.read = [LoggedEvent(number, data) for number, data in events][: self.limit]

    @precondition(lambda self: self.after is not None)
    @rule()
    def end_read(self) -> None:
        if self.read is None:
            self.read_log()
        read = self.read or []
        self.subject.end_read(read, complete=len(read) < self.limit)
        self.after = self.read = None

    @invariant()
    def the_client_has_a_beginning_of_the_log(self) -> None:
        assert self.arrived == self.log[self.first :][: len(self.arrived)]

    def teardown(self) -> None:
        if not hasattr(self, "subject"):
            return
        while len(self.log) <= self.last:
            self.append(4)
        if self.after is not None:
            self.end_read()
        self.subject.request_read()  # what the reconciler does to a delivery without news
        while self.subject.ready:
            if self.subject.must_read:
                self.begin_read()
                self.end_read()
            self.post()
        assert self.arrived == self.log[self.first :]
        assert self.subject.finished
