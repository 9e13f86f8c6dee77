"""The checkpoints before and after posts, and what follows from the log's answers."""

import asyncio

import pytest

from axon.exceptions import MissingResponseError, MovedError, UnavailableError
from axon.management_api import PostThrottledError
from tests.support.eventually import eventually
from tests.unit.relay.connection_writer_harness import WriterHarness


async def test_connection_writer_writes_one_checkpoint_before_and_one_after_posts_without_a_pause(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    running = asyncio.create_task(writer_harness.run())
    writer_harness.publish(delivery, 0, b"0", b"1", b"2")
    await eventually(lambda: len(writer_harness.log.checkpoints) == 2)
    assert [checkpoint for _, checkpoint in writer_harness.log.checkpoints] == ["0?", "3"]
    writer_harness.publish(delivery, 3, b"3", terminal=True)
    await running
    assert [checkpoint for _, checkpoint in writer_harness.log.checkpoints[2:]] == ["3?"]


async def test_connection_writer_needs_no_checkpoint_before_a_granted_event(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    running = asyncio.create_task(writer_harness.run())
    writer_harness.publish(delivery, 0, b"0", b"1", granted=True)
    await eventually(lambda: bool(writer_harness.log.checkpoints))
    assert writer_harness.posts == [b"0", b"1"]
    assert [checkpoint for _, checkpoint in writer_harness.log.checkpoints] == ["2"]
    writer_harness.publish(delivery, 2, b"2", terminal=True, granted=True)
    await running
    assert len(writer_harness.log.checkpoints) == 1


async def test_connection_writer_takes_a_grant_for_its_own_event_only(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.log.events = [b"0", b"1"]
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 1, b"1", terminal=True, granted=True)
    await writer_harness.run()
    assert writer_harness.posts == [b"0", b"1"]
    assert [checkpoint for _, checkpoint in writer_harness.log.checkpoints] == ["0?"]


@pytest.mark.parametrize(
    ("pause_s", "checkpoints"), [(0.04, ["0?", "2?"]), (0.06, ["0?", "1?", "2?"])]
)
async def test_connection_writer_writes_a_checkpoint_now_and_then_while_it_posts_on(
    writer_harness: WriterHarness, pause_s: float, checkpoints: list[str]
) -> None:
    def pause() -> None:
        writer_harness.now += pause_s

    writer_harness.after_post = pause
    writer_harness.publish(writer_harness.delivery(), 0, b"0", b"1", b"2", terminal=True)
    await writer_harness.run()
    assert [checkpoint for _, checkpoint in writer_harness.log.checkpoints] == checkpoints


async def test_connection_writer_writes_the_checkpoint_before_the_post(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.connections.hold()
    delivery = writer_harness.delivery()
    writer_harness.publish(delivery, 0, b"0", terminal=True)
    writer_harness.log.checkpoint_failures = [UnavailableError("away")]
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: writer_harness.connections.attempts == 1)
    assert writer_harness.log.checkpoints == [("resp_1", "0?")]
    writer_harness.connections.release()
    await running


async def test_connection_writer_leaves_a_certain_checkpoint_after_an_empty_read(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.log.events = [b"0"]
    delivery = writer_harness.delivery()
    running = asyncio.create_task(writer_harness.run())
    writer_harness.connections.hold()
    writer_harness.publish(delivery, 0, b"0")
    await eventually(lambda: writer_harness.connections.attempts == 1)
    delivery.request_read()
    writer_harness.connections.release()
    await eventually(lambda: writer_harness.log.last_checkpoints == {"resp_1": "1"})
    running.cancel()


async def test_connection_writer_posts_nothing_of_a_response_that_has_moved(
    writer_harness: WriterHarness,
) -> None:
    def pause() -> None:
        writer_harness.now += 1

    writer_harness.after_post = pause
    moved, other = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    writer_harness.log.checkpoint_failures = [None, None, MovedError("resp_1")]
    writer_harness.publish(moved, 0, b"a0", b"a1", terminal=True)
    writer_harness.publish(other, 0, b"b0", b"b1", terminal=True)
    await writer_harness.run()
    assert writer_harness.posts == [b"a0", b"b0", b"b1"]
    assert writer_harness.moved == ["resp_1"]
    assert writer_harness.delivered == ["resp_2"]


@pytest.mark.parametrize("call", ["read", "checkpoint"])
async def test_connection_writer_does_not_post_what_is_dropped_before_its_post(
    writer_harness: WriterHarness, call: str
) -> None:
    delivery, other = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    writer_harness.log.events = [b"0", b"1"]
    writer_harness.log.hold(call)
    writer_harness.publish(delivery, 1, b"1", terminal=True)
    running = asyncio.create_task(writer_harness.run())
    await writer_harness.log.reached.wait()
    writer_harness.writer.drop(delivery)
    writer_harness.log.released.set()
    writer_harness.publish(other, 0, b"b", terminal=True)
    await running
    assert writer_harness.posts == [b"b"]
    assert not writer_harness.moved
    assert writer_harness.delivered == ["resp_2"]


async def test_connection_writer_posts_no_more_of_what_is_dropped_during_its_post(
    writer_harness: WriterHarness,
) -> None:
    delivery, other = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    writer_harness.connections.hold()
    writer_harness.publish(delivery, 0, b"0", b"1", terminal=True)
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: writer_harness.connections.attempts == 1)
    writer_harness.writer.drop(delivery)
    writer_harness.publish(other, 0, b"b", terminal=True)
    writer_harness.connections.release()
    await running
    assert writer_harness.posts == [b"0", b"b"]
    assert writer_harness.log.checkpoints == [("resp_1", "0?"), ("resp_2", "0?")]
    assert writer_harness.delivered == ["resp_2"]


async def test_connection_writer_waits_while_the_log_is_lost(writer_harness: WriterHarness) -> None:
    writer_harness.log.checkpoint_failures = [MissingResponseError("resp_1")] * 3
    writer_harness.publish(writer_harness.delivery(), 0, b"0", terminal=True)
    await writer_harness.run()
    assert writer_harness.posts == [b"0"]
    assert not writer_harness.log.checkpoint_failures


async def test_connection_writer_finishes_its_post_and_closes_every_checkpoint_on_halt(
    writer_harness: WriterHarness,
) -> None:
    first, second = writer_harness.delivery("resp_1"), writer_harness.delivery("resp_2")
    writer_harness.after_post = writer_harness.connections.hold
    writer_harness.publish(first, 0, b"a0", b"a1")
    writer_harness.publish(second, 0, b"b0", b"b1")
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: writer_harness.connections.attempts == 2)
    writer_harness.writer.halt()
    writer_harness.connections.release()
    await running
    assert writer_harness.posts == [b"a0", b"b0"]
    assert writer_harness.log.last_checkpoints == {"resp_1": "1=", "resp_2": "1="}
    assert sorted(writer_harness.halted) == ["resp_1", "resp_2"]
    assert not writer_harness.writer.deliveries


async def test_connection_writer_ends_on_halt_while_it_is_idle(
    writer_harness: WriterHarness,
) -> None:
    writer_harness.delivery()
    running = asyncio.create_task(writer_harness.run())
    await asyncio.sleep(0)
    writer_harness.writer.halt()
    async with asyncio.timeout(1):
        await running
    assert writer_harness.log.checkpoints == [("resp_1", "0=")]


async def test_connection_writer_does_not_wait_for_a_throttled_post_on_halt(
    writer_harness: WriterHarness,
) -> None:
    delivery = writer_harness.delivery()
    writer_harness.connections.fail("c1", *[PostThrottledError("429")] * 1000)
    writer_harness.publish(delivery, 0, b"0", terminal=True)
    running = asyncio.create_task(writer_harness.run())
    await eventually(lambda: writer_harness.connections.attempts > 3)
    writer_harness.writer.halt()
    async with asyncio.timeout(1):
        await running
    assert not writer_harness.posts
    assert writer_harness.log.last_checkpoints == {"resp_1": "0="}
    assert writer_harness.halted == ["resp_1"]
    assert not writer_harness.writer.deliveries
