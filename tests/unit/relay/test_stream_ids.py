"""Stream ids of events: each event gets the one of its lane."""

import pytest

from axon.event_log.lanes import LanePosition, lane_of
from axon.serialization import dumps, loads
from relay.stream_ids import with_stream_id_of

STREAM_IDS = (None, "a", 'a "b" \\ é')


def in_lane(event: bytes, stream_id: str | None) -> bytes:
    return with_stream_id_of(event, LanePosition(lane_of(stream_id), 1))


@pytest.mark.parametrize("written", STREAM_IDS)
@pytest.mark.parametrize("asked", STREAM_IDS)
def test_event_gets_the_stream_id_of_its_lane(written: str | None, asked: str | None) -> None:
    fields = {"type": "x", "delta": '"stream_id":"a"}', "item": {"stream_id": "a"}}
    event = dumps(fields | ({} if written is None else {"stream_id": written}))
    expected = dumps(fields | ({} if asked is None else {"stream_id": asked}))
    assert in_lane(event, asked) == expected
    assert in_lane(expected, asked) is expected


def test_event_keeps_a_stream_id_that_does_not_come_last() -> None:
    event = b'{"stream_id":"a","type":"x"}'
    assert in_lane(event, "a") is event
    assert loads(in_lane(event, "b")) == {"stream_id": "b", "type": "x"}


def test_event_without_a_lane_stays_as_it_is() -> None:
    event = b'{"type":"x","stream_id":"a"}'
    assert with_stream_id_of(event, LanePosition()) is event
