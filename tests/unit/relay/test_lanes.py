"""The lanes of one connection: which of its deliveries may post."""

import pytest

from axon.event_log.lanes import LanePosition
from axon.event_log.publication import Kind, Publication
from relay.cursor import DeliveryCursor
from relay.lanes import Lanes


class LanesHarness:
    """Lanes, and the deliveries that were added to them."""

    def __init__(self) -> None:
        self.lanes = Lanes()

    def add(self, order: int, *, lane: str = "*") -> DeliveryCursor:
        position = LanePosition(lane, order) if lane else LanePosition()
        delivery = DeliveryCursor(
            response_id=f"resp_{order}", connection_id="c1", position=position
        )
        self.lanes.add(delivery)
        return delivery


@pytest.fixture
def harness() -> LanesHarness:
    return LanesHarness()


def waiting(*deliveries: DeliveryCursor) -> list[bool]:
    return [delivery.waiting for delivery in deliveries]


def publish(delivery: DeliveryCursor, first: int, *, granted: bool = False) -> None:
    publication = Publication(
        delivery.response_id, "c1", first, Kind.EVENTS, [b"x"], granted=granted
    )
    delivery.publish(publication)


def test_lanes_let_the_lowest_order_of_each_lane_post(harness: LanesHarness) -> None:
    second, other, first, third = (
        harness.add(2),
        harness.add(3, lane="a"),
        harness.add(1),
        harness.add(4),
    )
    assert waiting(first, second, third, other) == [False, True, True, False]
    assert list(harness.lanes.remove(first)) == [second]
    assert waiting(second, third) == [False, True]


def test_lanes_let_deliveries_without_a_lane_post(harness: LanesHarness) -> None:
    assert waiting(harness.add(1, lane=""), harness.add(2, lane="")) == [False, False]


def test_lanes_keep_a_head_that_has_begun(harness: LanesHarness) -> None:
    second = harness.add(2)
    harness.lanes.begin(second)
    first = harness.add(1)
    assert waiting(second, first) == [False, True]
    assert list(harness.lanes.remove(second)) == [first]
    assert waiting(first) == [False]


def test_lanes_open_for_the_next_one_when_one_in_the_middle_leaves(harness: LanesHarness) -> None:
    first, second, third = (harness.add(order) for order in (1, 2, 3))
    assert not harness.lanes.remove(second)
    assert list(harness.lanes.remove(first)) == [third]


def test_lanes_wait_for_a_response_that_is_looked_up(harness: LanesHarness) -> None:
    harness.lanes.close("*", "resp_1")
    second = harness.add(2)
    assert waiting(second) == [True]
    first = harness.add(1)
    assert list(harness.lanes.open("*", "resp_1")) == [first]
    assert waiting(first, second) == [False, True]


def test_lanes_do_not_stop_a_head_that_has_begun_for_a_search(harness: LanesHarness) -> None:
    first, second = harness.add(1), harness.add(2)
    harness.lanes.begin(first)
    assert not harness.lanes.close("*", "resp_0")
    assert waiting(first) == [False]
    assert not harness.lanes.remove(first), "the search has not ended"
    assert list(harness.lanes.open("*", "resp_0")) == [second]


def test_waiting_delivery_keeps_no_events_and_reads_them_when_its_turn_comes(
    harness: LanesHarness,
) -> None:
    first, second = harness.add(1), harness.add(2)
    publish(second, 0)
    publish(second, 1)
    assert second.peek() is None
    assert not second.must_close
    harness.lanes.remove(first)
    assert second.must_read
    assert second.begin_read() == -1


def test_delivery_that_comes_later_than_another_one_returns_its_grant(
    harness: LanesHarness,
) -> None:
    second = harness.add(2)
    publish(second, 0, granted=True)
    before = second.granted
    harness.add(1)
    assert (before, second.granted) == (True, False)
    assert second.must_close
    assert second.peek() is None


def test_delivery_uses_no_grant_of_the_time_when_it_waited(harness: LanesHarness) -> None:
    first, second = harness.add(1), harness.add(2)
    publish(second, 0, granted=True)
    assert second.must_close
    second.closed()
    harness.lanes.remove(first)
    publish(second, 0, granted=True)
    before = second.granted
    second.take_grants()
    publish(second, 0, granted=True)
    assert (before, second.granted) == (False, True), "a closed checkpoint takes grants back"


def test_lanes_do_not_begin_with_a_delivery_that_has_left(harness: LanesHarness) -> None:
    """It was dropped during its turn, while the one before the next was looked up."""
    first = harness.add(1)
    harness.lanes.remove(first)
    harness.lanes.close("*", "resp_0")
    second = harness.add(2)
    harness.lanes.begin(first)
    assert list(harness.lanes.open("*", "resp_0")) == [second]
    assert waiting(second) == [False]
