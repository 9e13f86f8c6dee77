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
from tests.unit.relay.connection_writer_harness import Scene


async def test_posts_in_order_until_the_terminal_event(scene: Scene) -> None:
    delivery = scene.delivery()
    running = asyncio.create_task(scene.run())
    scene.publish(delivery, 0, b"0", b"1")
    await eventually(lambda: len(scene.posts) == 2)
    assert not running.done()
    scene.publish(delivery, 2, b"2", b"3", terminal=True)
    await running
    assert scene.posts == [b"0", b"1", b"2", b"3"]
    assert scene.delivered == ["resp_1"]
    assert len(scene.lags) == 4


async def test_responses_take_turns_one_post_at_a_time(scene: Scene) -> None:
    first, second = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.publish(first, 0, b"a0", b"a1", b"a2", terminal=True)
    scene.publish(second, 0, b"b0", b"b1", terminal=True)
    await scene.run()  # the fake refuses two posts at a time
    assert scene.posts == [b"a0", b"b0", b"a1", b"b1", b"a2"]
    assert scene.delivered == ["resp_2", "resp_1"]


async def test_throttled_posts_are_repeated_in_order(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", b"1", b"2", terminal=True)
    throttled = PostThrottledError("429")
    scene.connections.fail("c1", throttled, throttled, None, throttled)
    await scene.run()
    assert scene.posts == [b"0", b"1", b"2"]
    assert scene.connections.attempts == 6
    assert len(scene.lags) == 3


async def test_events_that_were_not_published_come_from_the_log(scene: Scene) -> None:
    scene.log.events = [b"0", b"1", b"2"]
    scene.log.failures = [UnavailableError("away"), UnavailableError("away")]
    delivery = scene.delivery()
    scene.publish(delivery, 2, b"2", terminal=True)
    await scene.run()
    assert scene.posts == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "error", [ConnectionGoneError("410"), PostUncertainError("?"), ConnectionsApiError("400")]
)
async def test_ends_without_a_second_try_when_a_post_is_refused_or_uncertain(
    scene: Scene, error: ConnectionsApiError
) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", b"1", terminal=True)
    scene.connections.fail("c1", None, error)
    with pytest.raises(type(error)):
        await scene.run()
    assert scene.posts == [b"0"]
    assert scene.connections.attempts == 2
    assert scene.writer.deliveries == {delivery}
    assert not scene.delivered


async def test_ends_when_the_log_has_lost_the_next_event(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 1, b"1")
    with pytest.raises(LostEventsError):
        await scene.run()
    assert not scene.posts


async def test_an_event_that_is_too_large_becomes_an_error_and_ends_its_response(
    scene: Scene,
) -> None:
    large, small = scene.delivery("resp_1"), scene.delivery("resp_2")
    event = b'{"type":"x","stream_id":"s1","text":"%s"}' % (b"x" * MAX_BYTES)
    scene.log.events = [b"0", event, b"2"]
    scene.publish(large, 0, *scene.log.events)
    scene.publish(small, 0, b"a", b"b", b"c", terminal=True)
    await scene.run()
    assert [post for post in scene.posts if len(post) == 1] == [b"0", b"a", b"b", b"c"]
    (error,) = (loads(post) for post in scene.posts if len(post) > 1)
    assert error["type"] == "error"
    assert error["status"] == 413
    assert error["stream_id"] == "s1"
    assert error["error"]["code"] == error["code"] == "event_too_large"
    assert str(len(event)) in error["message"]
    assert sorted(scene.delivered) == ["resp_1", "resp_2"]


async def test_a_response_that_comes_while_the_last_one_is_settled_is_delivered(
    scene: Scene,
) -> None:
    scene.settled.clear()
    scene.publish(scene.delivery("resp_1"), 0, b"a", terminal=True)
    running = asyncio.create_task(scene.run())
    await eventually(lambda: not scene.writer.deliveries)
    scene.publish(scene.delivery("resp_2"), 0, b"b", terminal=True)
    scene.settled.set()
    await running
    assert scene.posts == [b"a", b"b"]


async def test_cancellation_ends_it(scene: Scene) -> None:
    scene.connections.hold()
    scene.publish(scene.delivery(), 0, b"0")
    running = asyncio.create_task(scene.run())
    await eventually(lambda: scene.connections.attempts == 1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert not scene.posts


async def test_a_backlog_is_read_in_pieces(scene: Scene) -> None:
    scene.log.events = [b"%d" % number for number in range(2 * READ_LIMIT + 5)]
    delivery = scene.delivery()
    scene.publish(delivery, len(scene.log.events), b'{"type":"response.completed"', terminal=True)
    scene.log.events.append(b'{"type":"response.completed"')
    await scene.run()
    assert scene.posts == scene.log.events
    assert scene.log.limits == [READ_LIMIT] * 3
