import asyncio

import pytest

from axon.management_api import PostThrottledError, PostUncertainError
from axon.serialization import loads
from relay import completion as module
from tests.support.principals import a_principal
from tests.unit.relay.relay_harness import RELAY, RelayHarness


async def test_completion_repeats_a_deletion_in_doubt(harness: RelayHarness) -> None:
    harness.connections.fail("c1", None, PostUncertainError("timeout"), PostThrottledError("429"))
    await harness.completion.close("c1", set())
    assert harness.connections.deleted == ["c1"]


async def test_completion_tells_the_client_why_it_is_disconnected(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    harness.connections.fail("c1", PostThrottledError("429"))
    await harness.completion.close("c1", {author.response_id})
    (post,) = harness.connections.posts["c1"]
    error = loads(post)
    assert (error["type"], error["code"], error["status"]) == ("error", "stream_interrupted", 503)
    assert "response.resume" in error["message"]
    assert harness.connections.deleted == ["c1"]


async def test_completion_stops_telling_after_its_time_limit(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTIFYING_S", 0.02)
    harness.connections.hold()
    await harness.completion.close("c1", set())
    assert harness.connections.deleted == ["c1"]


@pytest.mark.parametrize("closed", [True, False])
async def test_completion_abandons_the_responses_of_a_gone_connection(
    harness: RelayHarness, closed: bool
) -> None:
    author, other = await harness.open("c1"), await harness.open("c2")
    ids = [author.response_id]
    await (harness.completion.close if closed else harness.completion.gone)("c1", set(ids))
    assert await harness.valkey.undelivered(RELAY) == {other.response_id}
    assert await harness.valkey.abandoned() == []
    harness.now += 61
    assert await harness.valkey.abandoned() == ids


@pytest.mark.parametrize("closed", [True, False])
async def test_completion_cancels_on_disconnect_only_where_the_client_has_left(
    harness: RelayHarness, closed: bool
) -> None:
    await harness.valkey.register("c1", principal=a_principal(), cancel_on_disconnect=True)
    ids = [(await harness.open("c1")).response_id]
    await (harness.completion.close if closed else harness.completion.gone)("c1", set(ids))
    assert await harness.valkey.abandoned() == ([] if closed else ids)


async def test_completion_keeps_a_response_that_was_resumed_elsewhere(
    harness: RelayHarness,
) -> None:
    author = await harness.open("c1")
    await author.resume("c2", first=0)
    await harness.completion.gone("c1", {author.response_id})
    await harness.completion.delivered(author.response_id, "c1")
    assert await harness.valkey.undelivered(RELAY) == {author.response_id}
    harness.now += 61
    assert await harness.valkey.abandoned() == []


async def test_completion_stops_closing_after_its_time_limit(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSING_S", 0.05)
    author = await harness.open("c1")
    harness.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    await harness.completion.close("c1", {author.response_id})
    assert harness.connections.deleted == []
    assert "c1 could not be closed" in caplog.text
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_completion_can_be_cancelled_while_it_closes(harness: RelayHarness) -> None:
    harness.connections.fail("c1", *[PostThrottledError("503")] * 1000)
    closing = asyncio.create_task(harness.completion.close("c1", set()))
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
