"""The cursor of a delivery: a resumed response, and the merging core in the relay's hands."""

from typing import Any

import pytest

from axon.event_log.log import LoggedEvent
from axon.event_log.merger import EventMerger
from axon.exceptions import LostEventsError
from relay.cursor import DeliveryCursor
from tests.unit.axon.event_log.merger_samples import (
    LAST,
    Interleavings,
    drain,
    event,
    logged,
    publication,
)


def delivery(**changes: Any) -> DeliveryCursor:
    return DeliveryCursor(response_id="resp_1", connection_id="c1", **changes)


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


def test_delivery_cursor_hands_out_the_failure_behind_a_hole() -> None:
    failed = b'{"type":"response.failed","n":5}'
    subject = delivery(first=5, resumed=True)
    assert subject.begin_read() == 3
    subject.end_read([LoggedEvent(5, failed)])
    assert drain(subject) == [failed]
    assert subject.finished


def test_delivery_cursor_raises_when_a_hole_begins_at_its_next_event() -> None:
    subject = delivery(first=4, resumed=True)
    subject.begin_read()
    with pytest.raises(LostEventsError):
        subject.end_read([LoggedEvent(5, LAST)])


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


class CursorInterleavings(Interleavings):
    """A delivery that begins with event 0, or is resumed with any event."""

    def new_subject(self, cache_bytes: int, *, resumed: bool) -> EventMerger:
        return delivery(cache_bytes=cache_bytes, first=self.first, resumed=resumed)


test_delivery_cursor_survives_every_interleaving = CursorInterleavings.TestCase
