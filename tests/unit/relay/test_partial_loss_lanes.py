"""A failover that loses a lane with the responses in it: what stays of its order (ADR 19)."""

import asyncio

import pytest

from tests.support.eventually import eventually
from tests.unit.relay.relay_harness import RelayHarness

LANE = "*"


async def step(harness: RelayHarness, seconds: int) -> None:
    for _ in range(seconds):
        harness.now += 1
        for relay in tuple(harness.relays.values()):
            await relay.lease.beat()
            await relay.reconciler.step()
        await rest()


async def rest() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("same_relay", [True, False])
@pytest.mark.parametrize("restored", [True, False])
async def test_lane_that_a_failover_has_lost_is_never_mixed(
    harness: RelayHarness, *, restored: bool, same_relay: bool
) -> None:
    """The relay that has the first response delivers the second one after it; another cannot know.

    There the second one begins before the connection is closed: nothing of the first one follows.
    """
    await harness.begin("c0", "c1")
    await harness.join("relay-b")
    if not same_relay:  # the other one has less to do, and is chosen for a connection without any
        await harness.open("c0")
    before = harness.valkey.snapshot()
    harness.valkey._connections["c1"] = harness.relay.relay_id
    first = await harness.open("c1", lane=LANE)
    await first.say("a")
    harness.pump()
    await harness.received(first)
    had = list(first.written)
    harness.valkey.rewind(before)
    second = await harness.open("c1", lane=LANE)
    await second.complete()
    harness.pump()
    await rest()
    if restored:
        await first.restore()
        await first.say("b")
        harness.pump()
    posts = harness.connections.posts["c1"]
    await step(harness, 8)
    if same_relay and restored:
        await first.complete()
        harness.pump()
        expected = [*first.written, *second.written]
        await eventually(lambda: len(posts) >= len(expected))
        assert posts == expected
        assert not harness.connections.deleted
    else:
        # The client resumes the first one on another connection.
        assert "c1" in harness.connections.deleted
        later = [post for post in posts[len(had) :] if b"stream_interrupted" not in post]
        assert posts[: len(had)] == had
        assert later == second.written[: len(later)]
        assert bool(later) is not same_relay
