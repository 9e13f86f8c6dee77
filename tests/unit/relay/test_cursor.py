"""Whatever happens to publications, the client gets 0..n once and in order."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from axon.event_log.log import LoggedEvent, Status
from axon.event_log.publication import Kind, Publication
from axon.exceptions import LostEventsError
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse
from axon.protocol.transcript import Transcript
from relay.cursor import DeliveryCursor


def event(number: int, *, size: int = 1) -> bytes:
    return b'{"type":"response.output_text.delta","n":%d,"delta":"%s"}' % (number, b"x" * size)


LAST = b'{"type":"response.completed","n":0}'


def publication(first: int, events: Sequence[bytes], *, terminal: bool = False) -> Publication:
    return Publication("resp_1", "c1", first, Kind.LAST_EVENTS if terminal else Kind.EVENTS, events)


def delivery(**changes: Any) -> DeliveryCursor:
    return DeliveryCursor(response_id="resp_1", connection_id="c1", **changes)


def drain(subject: DeliveryCursor) -> list[bytes]:
    posted = []
    while (following := subject.peek()) is not None:
        posted.append(following)
        subject.advance()
    return posted


def test_delivery_cursor_has_nothing_to_do_at_first() -> None:
    subject = delivery()
    assert (subject.ready, subject.finished, subject.peek()) == (False, False, None)


def test_delivery_cursor_hands_out_what_is_published() -> None:
    subject = delivery()
    subject.publish(publication(0, [event(0), event(1)]))
    assert (subject.ready, subject.must_read) == (True, False)
    assert drain(subject) == [event(0), event(1)]
    assert (subject.ready, subject.must_read) == (False, False)


def test_delivery_cursor_returns_how_long_each_event_was_here() -> None:
    now = 10.0
    subject = delivery(clock=lambda: now)
    subject.publish(publication(0, [event(0), event(1)]))
    now = 10.5
    subject.publish(publication(2, [event(2)]))
    subject.publish(publication(4, [event(4)]))
    now = 11.0
    assert [subject.advance() for _ in range(3)] == [1.0, 1.0, 0.5]
    subject.begin_read()
    subject.end_read([LoggedEvent(3, event(3))])
    now = 11.25
    assert subject.advance() == 0.25


def test_delivery_cursor_is_finished_after_the_terminal_event() -> None:
    subject = delivery()
    subject.publish(publication(0, [event(0), LAST], terminal=True))
    assert (subject.peek(), subject.finished) == (event(0), False)
    assert drain(subject) == [event(0), LAST]
    assert (subject.ready, subject.finished) == (False, True)


def test_delivery_cursor_drops_duplicates_and_overlaps() -> None:
    subject = delivery()
    subject.publish(publication(0, [event(0), event(1)]))
    subject.publish(publication(0, [event(0), event(1)]))
    subject.publish(publication(1, [event(1), event(2)]))
    assert drain(subject) == [event(0), event(1), event(2)]


def test_delivery_cursor_reads_the_log_after_a_gap_once_the_cache_is_used_up() -> None:
    subject = delivery()
    subject.publish(publication(0, [event(0)]))
    subject.publish(publication(2, [event(2)]))
    assert (subject.peek(), subject.must_read) == (event(0), False)
    assert drain(subject) == [event(0)]
    assert (subject.peek(), subject.must_read) == (None, True)
    assert subject.begin_read() == 0
    subject.end_read([LoggedEvent(1, event(1)), LoggedEvent(2, event(2))])
    assert drain(subject) == [event(1), event(2)]
    assert (subject.ready, subject.must_read) == (False, False)


def test_delivery_cursor_neither_loses_nor_repeats_a_publication_during_a_read() -> None:
    subject = delivery()
    subject.publish(publication(1, [event(1)]))
    subject.begin_read()
    subject.publish(publication(2, [event(2)]))
    subject.end_read([LoggedEvent(0, event(0)), LoggedEvent(1, event(1))])
    assert drain(subject) == [event(0), event(1)]
    assert subject.must_read


def test_delivery_cursor_reads_the_log_on_request_without_a_gap() -> None:
    subject = delivery()
    subject.request_read()
    assert subject.must_read
    assert subject.begin_read() == -1
    subject.end_read([])
    assert not subject.ready


def test_delivery_cursor_reads_again_after_a_request_during_a_read() -> None:
    subject = delivery()
    subject.request_read()
    subject.begin_read()
    subject.request_read()
    subject.end_read([])
    assert subject.must_read


def test_delivery_cursor_leaves_to_the_log_what_the_cache_cannot_hold() -> None:
    subject = delivery(cache_bytes=200)
    events = [event(number, size=60) for number in range(10)]
    subject.publish(publication(0, events[:5]))
    subject.publish(publication(5, [*events[5:], LAST], terminal=True))
    assert drain(subject) == events[:1]
    posted = events[:1]
    reads = 0
    while subject.must_read:
        reads += 1
        after = subject.begin_read()
        log = [*events, LAST][after + 1 :]
        subject.end_read([LoggedEvent(after + 1 + i, data) for i, data in enumerate(log)])
        posted += drain(subject)
    assert posted == [*events, LAST]
    assert subject.finished
    assert reads > 1


def test_delivery_cursor_passes_an_event_larger_than_the_cache() -> None:
    subject = delivery(cache_bytes=10)
    subject.publish(publication(0, [event(0, size=100)]))
    assert drain(subject) == [event(0, size=100)]


def test_delivery_cursor_raises_when_the_log_has_lost_an_event() -> None:
    subject = delivery()
    subject.publish(publication(3, [event(3)]))
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([LoggedEvent(1, event(1)), LoggedEvent(2, event(2))])


def test_delivery_cursor_raises_when_the_log_is_gone() -> None:
    subject = delivery()
    subject.publish(publication(1, [event(1)]))
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([])


def logged(*events: bytes) -> list[LoggedEvent]:
    return [LoggedEvent(number, data) for number, data in enumerate(events)]


def test_delivery_cursor_reads_a_resumed_response_from_its_first_event() -> None:
    log = logged(event(0), event(1), event(2), LAST)
    subject = delivery(first=2, resumed=True)
    assert subject.ready
    after = subject.begin_read()
    subject.end_read(log[after + 1 :])
    assert drain(subject) == [event(2), LAST]
    assert subject.finished


def test_delivery_cursor_is_finished_when_a_resumed_response_has_ended_before() -> None:
    log = logged(event(0), LAST)
    subject = delivery(first=2, resumed=True)
    after = subject.begin_read()
    subject.end_read(log[after + 1 :])
    assert subject.peek() is None
    assert subject.finished


def test_delivery_cursor_waits_for_more_of_a_resumed_response() -> None:
    log = logged(event(0), event(1))
    subject = delivery(first=2, resumed=True)
    after = subject.begin_read()
    subject.end_read(log[after + 1 :])
    assert (subject.ready, subject.finished) == (False, False)
    subject.request_read()
    assert subject.begin_read() == 1  # the look back is over
    subject.end_read([])
    subject.publish(publication(2, [LAST], terminal=True))
    assert drain(subject) == [LAST]
    assert subject.finished


@pytest.mark.parametrize("first", [0, 1, 5])
def test_delivery_cursor_raises_when_a_resumed_responses_log_is_gone(first: int) -> None:
    subject = delivery(first=first, resumed=True)
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([])


def test_delivery_cursor_takes_a_publication_during_the_first_read_of_a_resumed_response() -> None:
    log = logged(event(0), event(1), event(2), LAST)
    subject = delivery(first=2, resumed=True)
    after = subject.begin_read()
    subject.publish(publication(2, [event(2)]))
    subject.end_read(log[after + 1 :])
    assert drain(subject) == [event(2), LAST]
    assert subject.finished


def test_delivery_cursor_reads_a_long_log_in_pieces() -> None:
    subject = delivery(first=1, resumed=True)
    log = logged(*map(event, range(7)), LAST)
    posted = []
    while subject.must_read:
        after = subject.begin_read()
        piece = log[after + 1 :][:3]
        subject.end_read(piece, complete=len(piece) < 3)
        posted += drain(subject)
    assert posted == [*map(event, range(1, 7)), LAST]
    assert subject.finished


@pytest.mark.parametrize(
    "status", [Status.COMPLETED, Status.FAILED, Status.INCOMPLETE, Status.CANCELLED]
)
def test_delivery_cursor_recognises_terminal_events_as_they_are_written(status: Status) -> None:
    request = CreateResponse(model="echo", input="response.completed")
    transcript = Transcript(response_object(request, response_id="resp_1", created_at=1))
    written = [
        transcript.created(),
        transcript.in_progress(),
        *transcript.delta('{"type":"response.completed"}', [1]),
        *transcript.close_message(),
    ]
    subject = delivery()
    subject.request_read()
    subject.begin_read()
    subject.end_read(written)
    drain(subject)
    assert not subject.finished
    subject.request_read()
    assert subject.begin_read() == len(written) - 1
    subject.end_read([transcript.end(status)])
    drain(subject)
    assert subject.finished


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
        self.subject = delivery(cache_bytes=cache_bytes, first=self.first, resumed=resumed)
        numbers = range(max(self.first, 1) if resumed else 0)
        self.log: list[bytes] = [LAST if number == last else event(number) for number in numbers]
        self.on_the_way: list[Publication] = []
        self.arrived: list[bytes] = []
        self.after: int | None = None
        self.read: list[LoggedEvent] | None = None

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
    def doubt(self) -> None:
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


test_delivery_cursor_survives_every_interleaving = Interleavings.TestCase


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=8), data=st.data())
def test_delivery_cursor_never_reads_the_log_without_losses(
    sizes: list[int], data: st.DataObject
) -> None:
    subject = delivery()
    total = sum(sizes)
    arrived: list[bytes] = []
    first = 0
    for size in sizes:
        subject.publish(publication(first, [event(n) for n in range(first, first + size)]))
        first += size
        assert not subject.must_read
        for _ in range(data.draw(st.integers(0, 4))):
            if (following := subject.peek()) is not None:
                arrived.append(following)
                subject.advance()
    arrived += drain(subject)
    assert arrived == [event(n) for n in range(total)]
    assert not subject.must_read
