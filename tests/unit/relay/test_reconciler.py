import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.management_api import PostThrottledError, PostUncertainError
from relay.reconciler import DeliveryReconciler
from tests.support.eventually import eventually
from tests.unit.relay.relay_harness import RELAY, World


@pytest.fixture
def reconciler(world: World) -> DeliveryReconciler:
    return world.relay.reconciler


async def step(world: World, reconciler: DeliveryReconciler, *, seconds: float = 1.0) -> None:
    world.now += seconds
    await reconciler.step()


async def test_finds_a_response_whose_first_publication_was_lost(
    world: World, reconciler: DeliveryReconciler
) -> None:
    author = await world.open("c1")
    await author.complete()
    world.lose()
    await step(world, reconciler)
    assert not world.dispatcher.deliveries  # it may be on its way
    await step(world, reconciler)
    await world.dispatcher.drain()
    await world.received(author)
    assert await world.valkey.undelivered(RELAY) == set()


async def test_finds_what_was_lost_last(world: World, reconciler: DeliveryReconciler) -> None:
    author = await world.open("c1")
    world.pump()
    await world.received(author)
    await author.say("a")
    world.lose()
    await step(world, reconciler)
    await step(world, reconciler)
    await world.received(author)


async def test_looks_ever_more_rarely_while_nothing_happens(
    world: World, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await world.open("c1")
    world.pump()
    await world.received(author)
    looks: list[float] = []
    monkeypatch.setattr(world.dispatcher, "request_read", lambda _delivery: looks.append(world.now))
    begun = world.now
    for _ in range(40):
        await step(world, reconciler)
    assert [at - begun for at in looks] == [2, 4, 8, 16, 24, 32, 40]
    await author.say("a")
    world.pump()
    looks.clear()
    await step(world, reconciler)
    await step(world, reconciler)
    assert [at - begun for at in looks] == [42]


async def test_a_response_with_news_is_not_looked_after(
    world: World, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await world.open("c1")
    looks: list[float] = []
    monkeypatch.setattr(world.dispatcher, "request_read", lambda _delivery: looks.append(world.now))
    for _ in range(5):
        await author.say("a")
        world.pump()
        await step(world, reconciler)
    assert not looks


async def test_closes_what_valkey_has_forgotten(
    world: World, reconciler: DeliveryReconciler
) -> None:
    author = await world.open("c1")
    world.pump()
    await world.received(author)
    for response_id in await world.valkey.undelivered(RELAY):
        await world.valkey.delivered(RELAY, response_id)
    await step(world, reconciler)
    assert world.dispatcher.deliveries
    await step(world, reconciler)
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert not world.dispatcher.deliveries


async def test_strikes_out_what_has_no_log_any_more(
    world: World, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_response_id: str) -> None:
        return

    await world.open("c1")
    world.lose()
    monkeypatch.setattr(world.valkey, "describe", nothing)
    for _ in range(2):
        await step(world, reconciler)
    assert await world.valkey.undelivered(RELAY) == set()
    assert not world.dispatcher.deliveries


async def test_strikes_out_what_has_ended_here(
    world: World, reconciler: DeliveryReconciler
) -> None:
    """The terminal event has arrived; only the directory does not know it."""
    author = await world.open("c1")
    await author.complete()
    world.pump()
    await world.dispatcher.drain()
    await author.resume("c1", first=0)
    world.lose()
    checkpoint = DeliveryCheckpoint(len(author.written) - 1, TailState.IN_DOUBT)
    await world.valkey.checkpoint(
        author.response_id, checkpoint, relay_id=RELAY, connection_id="c1"
    )
    for _ in range(2):
        await step(world, reconciler)
    assert await world.valkey.undelivered(RELAY) == set()
    await world.received(author)


async def test_finds_a_resumption_that_nobody_heard(
    world: World, reconciler: DeliveryReconciler
) -> None:
    author = await world.open("c1")
    await author.say("a", "b")
    await author.resume("c2", first=2)
    world.lose()
    for _ in range(2):
        await step(world, reconciler)
    await world.received(author, on="c2", first=2)
    world.valkey.published.append((RELAY, f"{author.response_id} c2 2 R".encode()))
    world.pump()  # it was only late
    await author.say("c")
    world.pump()
    await world.received(author, on="c2", first=2)
    assert not world.connections.posts["c1"]


async def test_closes_the_connection_of_what_it_finds_uncertain(
    world: World, reconciler: DeliveryReconciler
) -> None:
    """The reply to a takeover was lost: the responses are this relay's, and it does not know."""
    author = await world.open("c1")
    checkpoint = DeliveryCheckpoint(0, TailState.IN_DOUBT)
    await world.valkey.checkpoint(
        author.response_id, checkpoint, relay_id=RELAY, connection_id="c1"
    )
    world.lose()
    for _ in range(2):
        await step(world, reconciler)
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert await world.valkey.undelivered(RELAY) == set()


async def test_drops_what_is_another_relays_now(
    world: World, reconciler: DeliveryReconciler
) -> None:
    author = await world.open("c1")
    world.pump()
    await world.settled(author)
    other = await world.join("relay-b")
    world.now += 2
    await other.lease.beat()
    world.now += 2
    await other.failover.step()
    for _ in range(2):
        await step(world, reconciler)
    assert not world.dispatcher.deliveries
    assert not world.connections.deleted
    await author.say("a")
    world.pump()
    await world.received(author)


async def test_leaves_alone_what_is_being_closed(
    world: World, reconciler: DeliveryReconciler
) -> None:
    throttled, waiting = await world.open("c1"), await world.open("c1")
    world.connections.fail("c1", PostUncertainError("?"))
    world.connections.fail("c1", *[PostThrottledError("429")] * 1000)
    world.pump()
    await eventually(lambda: not world.dispatcher.deliveries)
    for _ in range(3):
        await step(world, reconciler)
    await throttled.say("more")
    await waiting.say("more")
    world.pump()
    assert not world.dispatcher.deliveries
    assert not world.connections.posts["c1"]


async def test_the_memory_of_ended_responses_is_let_go(
    world: World, reconciler: DeliveryReconciler
) -> None:
    author = await world.open("c1")
    world.pump()
    await step(world, reconciler)
    await author.complete()
    world.pump()
    await eventually(lambda: not world.dispatcher.deliveries)
    await step(world, reconciler)
    assert not reconciler._idle
