"""What the log is told before and after posts, and what follows from its answers."""

import asyncio

import pytest

from axon.exceptions import MissingResponseError, MovedError, UnavailableError
from axon.management_api import PostThrottledError
from tests.support.eventually import eventually
from tests.unit.relay.connection_writer_harness import Scene


async def test_posts_without_a_pause_have_one_mark_before_and_one_after(scene: Scene) -> None:
    delivery = scene.delivery()
    running = asyncio.create_task(scene.run())
    scene.publish(delivery, 0, b"0", b"1", b"2")
    await eventually(lambda: len(scene.log.checkpoints) == 2)
    assert [checkpoint for _, checkpoint in scene.log.checkpoints] == ["0?", "3"]
    scene.publish(delivery, 3, b"3", terminal=True)
    await running
    assert [checkpoint for _, checkpoint in scene.log.checkpoints[2:]] == ["3?"]


async def test_what_is_offered_needs_no_mark_before(scene: Scene) -> None:
    delivery = scene.delivery()
    running = asyncio.create_task(scene.run())
    scene.publish(delivery, 0, b"0", b"1", granted=True)
    await eventually(lambda: bool(scene.log.checkpoints))
    assert scene.posts == [b"0", b"1"]
    assert [checkpoint for _, checkpoint in scene.log.checkpoints] == ["2"]
    scene.publish(delivery, 2, b"2", terminal=True, granted=True)
    await running
    assert len(scene.log.checkpoints) == 1


async def test_an_offer_holds_for_its_own_event(scene: Scene) -> None:
    scene.log.events = [b"0", b"1"]
    delivery = scene.delivery()
    scene.publish(delivery, 1, b"1", terminal=True, granted=True)
    await scene.run()
    assert scene.posts == [b"0", b"1"]
    assert [checkpoint for _, checkpoint in scene.log.checkpoints] == ["0?"]


@pytest.mark.parametrize(
    ("pause_s", "checkpoints"), [(0.04, ["0?", "2?"]), (0.06, ["0?", "1?", "2?"])]
)
async def test_who_posts_on_and_on_asks_now_and_then(
    scene: Scene, pause_s: float, checkpoints: list[str]
) -> None:
    def pause() -> None:
        scene.now += pause_s

    scene.after_post = pause
    scene.publish(scene.delivery(), 0, b"0", b"1", b"2", terminal=True)
    await scene.run()
    assert [checkpoint for _, checkpoint in scene.log.checkpoints] == checkpoints


async def test_the_mark_is_made_before_the_post(scene: Scene) -> None:
    scene.connections.hold()
    delivery = scene.delivery()
    scene.publish(delivery, 0, b"0", terminal=True)
    scene.log.mark_failures = [UnavailableError("away")]
    running = asyncio.create_task(scene.run())
    await eventually(lambda: scene.connections.attempts == 1)
    assert scene.log.checkpoints == [("resp_1", "0?")]
    scene.connections.release()
    await running


async def test_a_read_that_brings_nothing_leaves_a_certain_mark(scene: Scene) -> None:
    scene.log.events = [b"0"]
    delivery = scene.delivery()
    running = asyncio.create_task(scene.run())
    scene.connections.hold()
    scene.publish(delivery, 0, b"0")
    await eventually(lambda: scene.connections.attempts == 1)
    delivery.request_read()
    scene.connections.release()
    await eventually(lambda: scene.log.last_marks == {"resp_1": "1"})
    running.cancel()


async def test_nothing_is_posted_of_what_has_moved(scene: Scene) -> None:
    def pause() -> None:
        scene.now += 1

    scene.after_post = pause
    moved, other = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.log.mark_failures = [None, None, MovedError("resp_1")]
    scene.publish(moved, 0, b"a0", b"a1", terminal=True)
    scene.publish(other, 0, b"b0", b"b1", terminal=True)
    await scene.run()
    assert scene.posts == [b"a0", b"b0", b"b1"]
    assert scene.moved == ["resp_1"]
    assert scene.delivered == ["resp_2"]


@pytest.mark.parametrize("call", ["read", "checkpoint"])
async def test_what_is_dropped_before_its_post_is_not_posted(scene: Scene, call: str) -> None:
    delivery, other = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.log.events = [b"0", b"1"]
    scene.log.hold(call)
    scene.publish(delivery, 1, b"1", terminal=True)
    running = asyncio.create_task(scene.run())
    await scene.log.reached.wait()
    scene.writer.drop(delivery)
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
    running = asyncio.create_task(scene.run())
    await eventually(lambda: scene.connections.attempts == 1)
    scene.writer.drop(delivery)
    scene.publish(other, 0, b"b", terminal=True)
    scene.connections.release()
    await running
    assert scene.posts == [b"0", b"b"]
    assert scene.log.checkpoints == [("resp_1", "0?"), ("resp_2", "0?")]
    assert scene.delivered == ["resp_2"]


async def test_it_waits_while_the_log_is_lost(scene: Scene) -> None:
    scene.log.mark_failures = [MissingResponseError("resp_1")] * 3
    scene.publish(scene.delivery(), 0, b"0", terminal=True)
    await scene.run()
    assert scene.posts == [b"0"]
    assert not scene.log.mark_failures


async def test_halting_finishes_the_post_under_way_and_seals_every_mark(
    scene: Scene,
) -> None:
    first, second = scene.delivery("resp_1"), scene.delivery("resp_2")
    scene.after_post = scene.connections.hold
    scene.publish(first, 0, b"a0", b"a1")
    scene.publish(second, 0, b"b0", b"b1")
    running = asyncio.create_task(scene.run())
    await eventually(lambda: scene.connections.attempts == 2)
    scene.writer.halt()
    scene.connections.release()
    await running
    assert scene.posts == [b"a0", b"b0"]
    assert scene.log.last_marks == {"resp_1": "1=", "resp_2": "1="}
    assert scene.writer.deliveries == {first, second}


async def test_halting_ends_an_idle_feed(scene: Scene) -> None:
    scene.delivery()
    running = asyncio.create_task(scene.run())
    await asyncio.sleep(0)
    scene.writer.halt()
    async with asyncio.timeout(1):
        await running
    assert scene.log.checkpoints == [("resp_1", "0=")]


async def test_halting_does_not_wait_for_a_throttled_post(scene: Scene) -> None:
    delivery = scene.delivery()
    scene.connections.fail("c1", *[PostThrottledError("429")] * 1000)
    scene.publish(delivery, 0, b"0", terminal=True)
    running = asyncio.create_task(scene.run())
    await eventually(lambda: scene.connections.attempts > 3)
    scene.writer.halt()
    async with asyncio.timeout(1):
        await running
    assert not scene.posts
    assert scene.log.last_marks == {"resp_1": "0="}
    assert scene.writer.deliveries == {delivery}
