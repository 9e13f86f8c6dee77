import asyncio

import pytest

from axon.management_api import PostThrottledError, PostUncertainError
from axon.serialization import loads
from relay import completion as module
from tests.unit.relay.relay_harness import RELAY, World


async def test_an_uncertain_deletion_is_repeated(world: World) -> None:
    world.connections.fail("c1", None, PostUncertainError("timeout"), PostThrottledError("429"))
    await world.completion.close("c1", [])
    assert world.connections.deleted == ["c1"]


async def test_who_is_disconnected_is_told_why(world: World) -> None:
    author = await world.open("c1")
    world.connections.fail("c1", PostThrottledError("429"))
    await world.completion.close("c1", [author.response_id])
    (post,) = world.connections.posts["c1"]
    error = loads(post)
    assert (error["type"], error["code"], error["status"]) == ("error", "stream_interrupted", 503)
    assert "response.resume" in error["message"]
    assert world.connections.deleted == ["c1"]


async def test_telling_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTIFYING_S", 0.02)
    world.connections.hold()
    await world.completion.close("c1", [])
    assert world.connections.deleted == ["c1"]


@pytest.mark.parametrize("closed", [True, False])
async def test_who_is_gone_can_resume_for_a_while(world: World, closed: bool) -> None:
    author, other = await world.open("c1"), await world.open("c2")
    ids = [author.response_id]
    await (world.completion.close if closed else world.completion.gone)("c1", ids)
    assert await world.valkey.undelivered(RELAY) == {other.response_id}
    assert await world.valkey.abandoned() == []
    world.now += 61
    assert await world.valkey.abandoned() == ids


async def test_what_was_resumed_meanwhile_stays(world: World) -> None:
    author = await world.open("c1")
    await author.resume("c2", first=0)
    await world.completion.gone("c1", [author.response_id])
    await world.completion.delivered(author.response_id, "c1")
    assert await world.valkey.undelivered(RELAY) == {author.response_id}
    world.now += 61
    assert await world.valkey.abandoned() == []


async def test_closing_has_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSING_S", 0.05)
    author = await world.open("c1")
    world.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    await world.completion.close("c1", [author.response_id])
    assert world.connections.deleted == []
    assert "c1 could not be closed" in caplog.text
    assert await world.valkey.undelivered(RELAY) == set()


async def test_cancellation_is_not_swallowed(world: World) -> None:
    world.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    closing = asyncio.create_task(world.completion.close("c1", []))
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
