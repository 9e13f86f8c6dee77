import asyncio
from contextlib import suppress

import pytest

from axon.exceptions import LostEventsError, UnavailableError
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApiError,
    PostThrottledError,
    PostUncertainError,
)
from axon.serialization import loads
from axon.testing.management_api import MAX_BYTES
from relay.connection_writer import READ_LIMIT
from tests.support.eventually import eventually
from tests.unit.relay.connection_writer_harness import WriterHarness


async def test_connection_writer_posts_in_order_until_the_terminal_event(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    running = asyncio.create_task(writer_harness.run())
    writer_harness.publish(delivery, 0, b"0", b"1")
    await eventually(lambda: len(writer_harness.posts) == 2)
    assert not running.done()
    writer_harness.publish(delivery, 2, b"2", b"3", terminal=True)
    await running
    assert writer_harness.posts == [b"0", b"1", b"2", b"3"]
    assert writer_harness.delivered == ["resp_1"]
    assert len(writer_harness.lags) == 4


async def test_connection_writer_gives_responses_turns_one_post_at_a_time(
    writer_harness: WriterHarness,
) -> None:
    first, second = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    writer_harness.publish(first, 0, b"a0", b"a1", b"a2", terminal=True)
    writer_harness.publish(second, 0, b"b0", b"b1", terminal=True)
    await writer_harness.run()  # the fake refuses two posts at a time
    assert writer_harness.posts == [b"a0", b"b0", b"a1", b"b1", b"a2"]
    assert writer_harness.delivered == ["resp_2", "resp_1"]


async def test_connection_writer_repeats_throttled_posts_in_order(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 0, b"0", b"1", b"2", terminal=True)
    throttled = PostThrottledError("429")
    writer_harness.connections.fail("c1", throttled, throttled, None, throttled)
    await writer_harness.run()
    assert writer_harness.posts == [b"0", b"1", b"2"]
    assert writer_harness.connections.attempts == 6
    assert len(writer_harness.lags) == 3


async def test_connection_writer_reads_unpublished_events_from_the_log(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.log.events = [b"0", b"1", b"2"]
    writer_harness.log.failures = [UnavailableError("away"), UnavailableError("away")]
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 2, b"2", terminal=True)
    await writer_harness.run()
    assert writer_harness.posts == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "error", [ConnectionGoneError("410"), PostUncertainError("?"), ConnectionsApiError("400")]
)
async def test_connection_writer_ends_at_once_when_a_post_is_refused_or_in_doubt(
    writer_harness: WriterHarness, error: ConnectionsApiError
) -> None:
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 0, b"0", b"1", terminal=True)
    writer_harness.connections.fail("c1", None, error)
    with pytest.raises(type(error)):
        await writer_harness.run()
    assert writer_harness.posts == [b"0"]
    assert writer_harness.connections.attempts == 2
    assert writer_harness.writer.deliveries == {delivery}
    assert not writer_harness.delivered


async def test_connection_writer_ends_when_the_log_has_lost_the_next_event(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 1, b"1")
    with pytest.raises(LostEventsError):
        await writer_harness.run()
    assert not writer_harness.posts


async def test_connection_writer_tells_the_end_of_a_response_with_events_that_are_too_large(
    writer_harness: WriterHarness,
) -> None:
    """Such as a worker of an earlier version wrote."""
    large, small = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    text = b"x" * MAX_BYTES
    done = b'{"type":"response.output_text.done","stream_id":"s1","text":"%s"}' % text
    end = (
        b'{"type":"response.completed","stream_id":"s1","response":{"id":"resp_1","status":'
        b'"completed","instructions":null,"store":true,"output":["%s"]}}' % text
    )
    writer_harness.log.events = [b"0", done, end]
    writer_harness.publish(large, 0, *writer_harness.log.events, terminal=True)
    writer_harness.publish(small, 0, b"a", b"b", b"c", terminal=True)
    await writer_harness.run()
    assert [post for post in writer_harness.posts if len(post) == 1] == [b"0", b"a", b"b", b"c"]
    (error,) = (loads(post) for post in writer_harness.posts if len(post) > 1)
    assert error["type"] == "error"
    assert error["status"] == 413
    assert error["stream_id"] == "s1"
    assert error["error"]["code"] == error["code"] == "event_too_large"
    assert f"{len(end):,}" in error["message"]
    assert error["response_id"] == "resp_1"
    assert sorted(writer_harness.delivered) == ["resp_1", "resp_2"]
    assert writer_harness.log.last_checkpoints.keys() == {"resp_1", "resp_2"}


async def test_connection_writer_delivers_a_response_that_comes_while_the_last_one_is_completed(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.completed.clear()
    writer_harness.publish(writer_harness.delivery("resp_1"), 0, b"a", terminal=True)
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: not writer_harness.writer.deliveries)
    writer_harness.publish(writer_harness.delivery("resp_2"), 0, b"b", terminal=True)
    writer_harness.completed.set()
    await running
    assert writer_harness.posts == [b"a", b"b"]


async def test_connection_writer_ends_when_it_is_cancelled(writer_harness: WriterHarness) -> None:
    writer_harness.connections.hold()
    writer_harness.publish(writer_harness.delivery(), 0, b"0")
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: writer_harness.connections.attempts == 1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert not writer_harness.posts


async def test_connection_writer_reads_a_backlog_in_pieces(writer_harness: WriterHarness) -> None:
    writer_harness.log.events = [b"%d" % number for number in range(2 * READ_LIMIT + 5)]
    delivery = writer_harness.delivery()
    writer_harness.publish(
        delivery, len(writer_harness.log.events), b'{"type":"response.completed"', terminal=True
    )
    writer_harness.log.events.append(b'{"type":"response.completed"')
    await writer_harness.run()
    assert writer_harness.posts == writer_harness.log.events
    assert writer_harness.log.limits == [READ_LIMIT] * 3
