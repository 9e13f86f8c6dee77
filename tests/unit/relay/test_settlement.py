import asyncio

import pytest

from axon.connections import PostThrottledError, PostUncertainError
from relay import settlement as module
from tests.unit.relay.world import RELAY, World


async def test_an_uncertain_deletion_is_repeated(world: World) -> None:
    world.connections.fail("c1", PostUncertainError("timeout"), PostThrottledError("429"))
    await world.settlement.close("c1", [])
    assert world.connections.deleted == ["c1"]


async def test_closing_has_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSING_S", 0.05)
    author = await world.open("c1")
    world.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    await world.settlement.close("c1", [author.response_id])
    assert world.connections.deleted == []
    assert "c1 could not be closed" in caplog.text
    assert await world.valkey.undelivered(RELAY) == set()


async def test_cancellation_is_not_swallowed(world: World) -> None:
    world.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    closing = asyncio.create_task(world.settlement.close("c1", []))
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
