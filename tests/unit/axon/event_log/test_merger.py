"""Whatever happens to publications, a reader gets 0..n once and in order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.event_log.merger import EventMerger
from axon.exceptions import LostEventsError
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse
from axon.protocol.transcript import Transcript
from tests.unit.axon.event_log.merger_samples import (
    LAST,
    Interleavings,
    drain,
    event,
    publication,
)


def merger(**changes: Any) -> EventMerger:
    return EventMerger(response_id="resp_1", **changes)


def test_merger_has_nothing_to_do_at_first() -> None:
    subject = merger()
    assert (subject.ready, subject.finished, subject.peek()) == (False, False, None)


def test_merger_hands_out_what_is_published() -> None:
    subject = merger()
    subject.publish(publication(0, [event(0), event(1)]))
    assert (subject.ready, subject.must_read) == (True, False)
    assert drain(subject) == [event(0), event(1)]
    assert (subject.ready, subject.must_read) == (False, False)


def test_merger_returns_how_long_each_event_was_here() -> None:
    now = 10.0
    subject = merger(clock=lambda: now)
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


def test_merger_is_finished_after_the_terminal_event() -> None:
    subject = merger()
    subject.publish(publication(0, [event(0), LAST], terminal=True))
    assert (subject.peek(), subject.finished) == (event(0), False)
    assert drain(subject) == [event(0), LAST]
    assert (subject.ready, subject.finished) == (False, True)


def test_merger_drops_duplicates_and_overlaps() -> None:
    subject = merger()
    subject.publish(publication(0, [event(0), event(1)]))
    subject.publish(publication(0, [event(0), event(1)]))
    subject.publish(publication(1, [event(1), event(2)]))
    assert drain(subject) == [event(0), event(1), event(2)]


def test_merger_reads_the_log_after_a_gap_once_the_cache_is_used_up() -> None:
    subject = merger()
    subject.publish(publication(0, [event(0)]))
    subject.publish(publication(2, [event(2)]))
    assert (subject.peek(), subject.must_read) == (event(0), False)
    assert drain(subject) == [event(0)]
    assert (subject.peek(), subject.must_read) == (None, True)
    assert subject.begin_read() == 0
    subject.end_read([LoggedEvent(1, event(1)), LoggedEvent(2, event(2))])
    assert drain(subject) == [event(1), event(2)]
    assert (subject.ready, subject.must_read) == (False, False)


def test_merger_neither_loses_nor_repeats_a_publication_during_a_read() -> None:
    subject = merger()
    subject.publish(publication(1, [event(1)]))
    subject.begin_read()
    subject.publish(publication(2, [event(2)]))
    subject.end_read([LoggedEvent(0, event(0)), LoggedEvent(1, event(1))])
    assert drain(subject) == [event(0), event(1)]
    assert subject.must_read


def test_merger_reads_the_log_on_request_without_a_gap() -> None:
    subject = merger()
    subject.request_read()
    assert subject.must_read
    assert subject.begin_read() == -1
    subject.end_read([])
    assert not subject.ready


def test_merger_reads_again_after_a_request_during_a_read() -> None:
    subject = merger()
    subject.request_read()
    subject.begin_read()
    subject.request_read()
    subject.end_read([])
    assert subject.must_read


def test_merger_leaves_to_the_log_what_the_cache_cannot_hold() -> None:
    subject = merger(cache_bytes=200)
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


def test_merger_passes_an_event_larger_than_the_cache() -> None:
    subject = merger(cache_bytes=10)
    subject.publish(publication(0, [event(0, size=100)]))
    assert drain(subject) == [event(0, size=100)]


def test_merger_raises_when_the_log_has_lost_an_event() -> None:
    subject = merger()
    subject.publish(publication(3, [event(3)]))
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([LoggedEvent(1, event(1)), LoggedEvent(2, event(2))])


def test_merger_raises_when_the_log_is_gone() -> None:
    subject = merger()
    subject.publish(publication(1, [event(1)]))
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([])


@pytest.mark.parametrize(
    "status", [Status.COMPLETED, Status.FAILED, Status.INCOMPLETE, Status.CANCELLED]
)
def test_merger_recognises_terminal_events_as_they_are_written(status: Status) -> None:
    request = CreateResponse(model="echo", input="response.completed")
    transcript = Transcript(response_object(request, response_id="resp_1", created_at=1))
    written = [
        transcript.created(),
        transcript.in_progress(),
        *transcript.delta('{"type":"response.completed"}', [1]),
        *transcript.close_message(),
    ]
    subject = merger()
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


class MergerInterleavings(Interleavings):
    """A reader that begins with any event, and knows at first how many events the log has."""

    def new_subject(self, cache_bytes: int, *, resumed: bool) -> EventMerger:
        subject = merger(cache_bytes=cache_bytes, first=self.first)
        if resumed:
            subject.learn(len(self.log), ended=len(self.log) > self.last)
        return subject


test_merger_survives_every_interleaving = MergerInterleavings.TestCase


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=8), data=st.data())
def test_merger_never_reads_the_log_without_losses(sizes: list[int], data: st.DataObject) -> None:
    subject = merger()
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
