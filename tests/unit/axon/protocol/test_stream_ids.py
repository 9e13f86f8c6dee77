"""Stream ids of events: each answer has that of the request that asked for it."""

import pytest

from axon.protocol.stream_ids import relabelled
from axon.serialization import dumps, loads

STREAM_IDS = (None, "a", 'a "b" \\ é')


@pytest.mark.parametrize("written", STREAM_IDS)
@pytest.mark.parametrize("asked", STREAM_IDS)
def test_event_gets_the_stream_id_of_the_request(written: str | None, asked: str | None) -> None:
    fields = {"type": "x", "delta": '"stream_id":"a"}', "item": {"stream_id": "a"}}
    event = dumps(fields | ({} if written is None else {"stream_id": written}))
    expected = dumps(fields | ({} if asked is None else {"stream_id": asked}))
    assert relabelled(event, asked) == expected
    assert relabelled(expected, asked) is expected


def test_event_keeps_a_stream_id_that_does_not_come_last() -> None:
    event = b'{"stream_id":"a","type":"x"}'
    assert relabelled(event, "a") is event
    assert loads(relabelled(event, "b")) == {"stream_id": "b", "type": "x"}
