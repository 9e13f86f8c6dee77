import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from axon.connections import (
    ConnectionGoneError,
    ConnectionsError,
    PostThrottledError,
    PostUncertainError,
)
from axon.event_log import LoggedEvent, Mark
from axon.exceptions import MissingResponseError, MovedError, UnavailableError
from axon.serialization import loads
from axon.testing.connections import MAX_BYTES, FakeConnections
from axon.testing.event_log import FakeValkey
from relay.connection_feed import READ_LIMIT, ConnectionFeed
from relay.delivery import Delivery, LostEventsError
from relay.publication import Kind, Publication
from tests.unit.relay.world import until


class Scene:
    """One connection's feed; `delivered` are the responses that need no more posts."""

    def __init__(self) -> None:
        self.connections = FakeConnections()
        self.log = _Log()
        self.delivered: list[str] = []
        self.moved: list[str] = []
        self.lags: list[float] = []
        self.after_post: Callable[[], None] = lambda: None
        self.settled = asyncio.Event()
        self.settled.set()
        self.feed = ConnectionFeed(
            relay_id="relay-a",
            connection_id="c1",
            connections=self.connections,
            log=self.log,
            delivered=self._deliver,
            moved=lambda delivery: self.moved.append(delivery.response_id),
            lagged=self._lag,
        )

    @property
    def posts(self) -> list[bytes]:
        return self.connections.posts["c1"]

    def delivery(self, response_id: str = "resp_1") -> Delivery:
        delivery = Delivery(response_id=response_id, connection_id="c1")
        self.feed.add(delivery)
        return delivery

    def publish(
        self, delivery: Delivery, first: int, *events: bytes, terminal: bool = False
    ) -> None:
        kind = Kind.LAST_EVENTS if terminal else Kind.EVENTS
        delivery.publish(Publication(delivery.response_id, "c1", first, kind, events))
        self.feed.wake(delivery)

    def _lag(self, seconds: float) -> None:
        self.lags.append(seconds)
        self.after_post()

    async def _deliver(self, delivery: Delivery) -> None:
        await self.settled.wait()
        self.delivered.append(delivery.response_id)


class _Log(FakeValkey):
    """Serves `events` and keeps `marks`, after raising `failures` or `mark_failures`."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes] = []
        self.failures: list[Exception] = []
        self.marks: list[tuple[str, str]] = []
        self.mark_failures: list[Exception | None] = []
        self.limits: list[int | None] = []
        self.held = ""
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    def hold(self, call: str) -> None:
        """Let calls to `read` or `mark` wait until `released`; `reached` tells of the first."""
        self.held = call

    async def _pass(self, call: str) -> None:
        await asyncio.sleep(0)
        if call == self.held:
            self.reached.set()
            await self.released.wait()

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        await self._pass("read")
        if self.failures:
            raise self.failures.pop(0)
        self.limits.append(limit)
        numbered = [LoggedEvent(number, data) for number, data in enumerate(self.events)]
        return numbered[after + 1 :][:limit]

    async def mark(
        self, response_id: str, mark: Mark, *, relay_id: str, connection_id: str
    ) -> None:
        assert (relay_id, connection_id) == ("relay-a", "c1")
        await self._pass("mark")
        if self.mark_failures and (error := self.mark_failures.pop(0)):
            raise error
        certain = "" if mark.certain else "?"
        self.marks.append((response_id, f"{mark.next_sequence}{certain}"))

    @property
    def last_marks(self) -> dict[str, str]:
        """Of each response."""
        return dict(self.marks)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_posts_in_order_until_the_terminal_event(scene: Scene) -> None:
    delivery = scene.delivery()
    running = asyncio.create_task(scene.feed.run())
    scene.publish(delivery, 0, b"0", b"1")
    await until(lambda: len(scene.posts) == 2)
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
    await scene.feed.run()  # the fake refuses two posts at a time
    assert scene.posts == [b"a0", b"b0", b"a1", b"b1", b"a2"]
    assert scene.delivered == ["resp_2", "resp_1"]


async def test_throttled_posts_are_repeated_in_order(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", b"1", b"2", terminal=True)
    throttled = PostThrottledError("429")
    scene.connections.fail("c1", throttled, throttled, None, throttled)
    await scene.feed.run()
    assert scene.posts == [b"0", b"1", b"2"]
    assert scene.connections.attempts == 6
    assert len(scene.lags) == 3


async def test_events_that_were_not_published_come_from_the_log(scene: Scene) -> None:
    scene.log.events = [b"0", b"1", b"2"]
    scene.log.failures = [UnavailableError("away"), UnavailableError("away")]
    delivery = scene.delivery()
    scene.publish(delivery, 2, b"2", terminal=True)
    await scene.feed.run()
    assert scene.posts == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "error", [ConnectionGoneError("410"), PostUncertainError("?"), ConnectionsError("400")]
)
async def test_ends_without_a_second_try_when_a_post_is_refused_or_uncertain(
    scene: Scene, error: ConnectionsError
) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", b"1", terminal=True)
    scene.connections.fail("c1", None, error)
    with pytest.raises(type(error)):
        await scene.feed.run()
    assert scene.posts == [b"0"]
    assert scene.connections.attempts == 2
    assert scene.feed.deliveries == {delivery}
    assert not scene.delivered


async def test_ends_when_the_log_has_lost_the_next_event(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.publish(delivery, 1, b"1")
    with pytest.raises(LostEventsError):
        await scene.feed.run()
    assert not scene.posts


async def test_an_event_that_is_too_large_becomes_an_error_and_ends_its_response(
    scene: Scene,
) -> None:
    large, small = scene.delivery("resp_1"), scene.delivery("resp_2")
    event = b'{"type":"x","stream_id":"s1","text":"%s"}' % (b"x" * MAX_BYTES)
    scene.log.events = [b"0", event, b"2"]
    scene.publish(large, 0, *scene.log.events)
    scene.publish(small, 0, b"a", b"b", b"c", terminal=True)
    await scene.feed.run()
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
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: not scene.feed.deliveries)
    scene.publish(scene.delivery("resp_2"), 0, b"b", terminal=True)
    scene.settled.set()
    await running
    assert scene.posts == [b"a", b"b"]


async def test_cancellation_ends_it(scene: Scene) -> None:
    scene.connections.hold()
    scene.publish(scene.delivery(), 0, b"0")
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: scene.connections.attempts == 1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert not scene.posts


async def test_each_post_has_one_mark_and_one_more_when_nothing_follows(scene: Scene) -> None:
    delivery = scene.delivery()
    running = asyncio.create_task(scene.feed.run())
    scene.publish(delivery, 0, b"0", b"1", b"2")
    await until(lambda: len(scene.log.marks) == 4)
    assert [mark for _, mark in scene.log.marks] == ["0?", "1?", "2?", "3"]
    scene.publish(delivery, 3, b"3", terminal=True)
    await running
    assert [mark for _, mark in scene.log.marks[4:]] == ["3?"]


async def test_the_mark_is_made_before_the_post(scene: Scene) -> None:
    scene.connections.hold()
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", terminal=True)
    scene.log.mark_failures = [UnavailableError("away")]
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: scene.connections.attempts == 1)
    assert scene.log.marks == [("resp_1", "0?")]
    scene.connections.release()
    await running


async def test_a_read_that_brings_nothing_leaves_a_certain_mark(scene: Scene) -> None:
    scene.log.events = [b"0"]
    delivery = scene.delivery()
    running = asyncio.create_task(scene.feed.run())
    scene.connections.hold()
    scene.publish(delivery, 0, b"0")
    await until(lambda: scene.connections.attempts == 1)
    delivery.doubt()
    scene.connections.release()
    await until(lambda: scene.log.last_marks == {"resp_1": "1"})
    running.cancel()


async def test_nothing_is_posted_of_what_has_moved(scene: Scene) -> None:
    moved, other = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.log.mark_failures = [None, None, MovedError("resp_1")]
    scene.publish(moved, 0, b"a0", b"a1", terminal=True)
    scene.publish(other, 0, b"b0", b"b1", terminal=True)
    await scene.feed.run()
    assert scene.posts == [b"a0", b"b0", b"b1"]
    assert scene.moved == ["resp_1"]
    assert scene.delivered == ["resp_2"]


@pytest.mark.parametrize("call", ["read", "mark"])
async def test_what_is_dropped_before_its_post_is_not_posted(scene: Scene, call: str) -> None:
    delivery, other = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.log.events = [b"0", b"1"]
    scene.log.hold(call)
    scene.publish(delivery, 1, b"1", terminal=True)
    running = asyncio.create_task(scene.feed.run())
    await scene.log.reached.wait()
    scene.feed.drop(delivery)
    scene.log.released.set()
    scene.publish(other, 0, b"b", terminal=True)
    await running
    assert scene.posts == [b"b"]
    assert not scene.moved
    assert scene.delivered == ["resp_2"]


async def test_what_is_dropped_during_its_post_is_posted_no_more(scene: Scene) -> None:
    delivery, other = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.connections.hold()
    scene.publish(delivery, 0, b"0", b"1", terminal=True)
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: scene.connections.attempts == 1)
    scene.feed.drop(delivery)
    scene.publish(other, 0, b"b", terminal=True)
    scene.connections.release()
    await running
    assert scene.posts == [b"0", b"b"]
    assert scene.log.marks == [("resp_1", "0?"), ("resp_2", "0?")]
    assert scene.delivered == ["resp_2"]


async def test_it_waits_while_the_log_is_lost(scene: Scene) -> None:
    scene.log.mark_failures = [MissingResponseError("resp_1")] * 3
    scene.publish(scene.delivery(), 0, b"0", terminal=True)
    await scene.feed.run()
    assert scene.posts == [b"0"]
    assert not scene.log.mark_failures


async def test_halting_finishes_the_post_under_way_and_makes_every_mark_certain(
    scene: Scene,
) -> None:
    first, second = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.after_post = scene.connections.hold
    scene.publish(first, 0, b"a0", b"a1")
    scene.publish(second, 0, b"b0", b"b1")
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: scene.connections.attempts == 2)
    scene.feed.halt()
    scene.connections.release()
    await running
    assert scene.posts == [b"a0", b"b0"]
    assert scene.log.last_marks == {"resp_1": "1", "resp_2": "1"}
    assert scene.feed.deliveries == {first, second}


async def test_halting_ends_an_idle_feed(scene: Scene) -> None:
    scene.delivery()
    running = asyncio.create_task(scene.feed.run())
    await asyncio.sleep(0)
    scene.feed.halt()
    async with asyncio.timeout(1):
        await running
    assert not scene.log.marks


async def test_halting_does_not_wait_for_a_throttled_post(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.connections.fail("c1", *[PostThrottledError("429")] * 1000)
    scene.publish(delivery, 0, b"0", terminal=True)
    running = asyncio.create_task(scene.feed.run())
    await until(lambda: scene.connections.attempts > 3)
    scene.feed.halt()
    async with asyncio.timeout(1):
        await running
    assert not scene.posts
    assert scene.log.last_marks == {"resp_1": "0"}
    assert scene.feed.deliveries == {delivery}


async def test_a_backlog_is_read_in_pieces(scene: Scene) -> None:
    scene.log.events = [b"%d" % number for number in range(2 * READ_LIMIT + 5)]
    delivery = scene.delivery()
    scene.publish(delivery, len(scene.log.events), b'{"type":"response.completed"', terminal=True)
    scene.log.events.append(b'{"type":"response.completed"')
    await scene.feed.run()
    assert scene.posts == scene.log.events
    assert scene.log.limits == [READ_LIMIT] * 3
