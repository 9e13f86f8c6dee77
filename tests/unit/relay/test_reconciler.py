import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.management_api import PostThrottledError, PostUncertainError
from relay.reconciler import DeliveryReconciler
from tests.support.eventually import eventually
from tests.unit.relay.relay_harness import RELAY, RelayHarness


@pytest.fixture
def reconciler(harness: RelayHarness) -> DeliveryReconciler:
    return harness.relay.reconciler


async def step(
    harness: RelayHarness, reconciler: DeliveryReconciler, *, seconds: float = 1.0
) -> None:
    harness.now += seconds
    await reconciler.step()


async def test_reconciler_finds_a_response_whose_first_publication_was_lost(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    await author.complete()
    harness.lose()
    await step(harness, reconciler)
    assert not harness.dispatcher.deliveries  # it may be on its way
    await step(harness, reconciler)
    await harness.dispatcher.drain()
    await harness.received(author)
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_reconciler_finds_what_was_lost_last(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    harness.pump()
    await harness.received(author)
    await author.say("a")
    harness.lose()
    await step(harness, reconciler)
    await step(harness, reconciler)
    await harness.received(author)


async def test_reconciler_looks_ever_more_rarely_while_nothing_happens(
    harness: RelayHarness, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await harness.open("c1")
    harness.pump()
    await harness.received(author)
    looks: list[float] = []
    monkeypatch.setattr(
        harness.dispatcher, "request_read", lambda _delivery: looks.append(harness.now)
    )
    begun = harness.now
    for _ in range(40):
        await step(harness, reconciler)
    assert [at - begun for at in looks] == [2, 4, 8, 16, 24, 32, 40]
    await author.say("a")
    harness.pump()
    looks.clear()
    await step(harness, reconciler)
    await step(harness, reconciler)
    assert [at - begun for at in looks] == [42]


async def test_reconciler_does_not_read_for_a_response_with_news(
    harness: RelayHarness, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await harness.open("c1")
    looks: list[float] = []
    monkeypatch.setattr(
        harness.dispatcher, "request_read", lambda _delivery: looks.append(harness.now)
    )
    for _ in range(5):
        await author.say("a")
        harness.pump()
        await step(harness, reconciler)
    assert not looks


async def test_reconciler_closes_what_valkey_has_forgotten(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    harness.pump()
    await harness.received(author)
    for response_id in await harness.valkey.undelivered(RELAY):
        await harness.valkey.delivered(RELAY, response_id)
    await step(harness, reconciler)
    assert harness.dispatcher.deliveries
    await step(harness, reconciler)
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert not harness.dispatcher.deliveries


async def test_reconciler_forgets_a_response_without_a_log(
    harness: RelayHarness, reconciler: DeliveryReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_response_id: str) -> None:
        return

    await harness.open("c1")
    harness.lose()
    monkeypatch.setattr(harness.valkey, "describe", nothing)
    for _ in range(2):
        await step(harness, reconciler)
    assert await harness.valkey.undelivered(RELAY) == set()
    assert not harness.dispatcher.deliveries


async def test_reconciler_completes_what_has_ended_here(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    """The terminal event has arrived; only the directory does not know it."""
    author = await harness.open("c1")
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    await author.resume("c1", first=0)
    harness.lose()
    checkpoint = DeliveryCheckpoint(len(author.written) - 1, TailState.IN_DOUBT)
    await harness.valkey.checkpoint(
        author.response_id, checkpoint, relay_id=RELAY, connection_id="c1"
    )
    for _ in range(2):
        await step(harness, reconciler)
    assert await harness.valkey.undelivered(RELAY) == set()
    await harness.received(author)


async def test_reconciler_abandons_again_what_a_failover_gives_back(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    """The client has left, and the server forgets that: nobody else would ever know."""
    author = await harness.open("c1")
    harness.pump()
    await harness.received(author)
    await author.say("a")
    before = harness.valkey.snapshot()
    harness.connections.hang_up("c1")
    harness.pump()
    await eventually(lambda: not harness.dispatcher.deliveries)
    await harness.dispatcher.drain()
    harness.valkey.rewind(before)
    for _ in range(2):
        await step(harness, reconciler)
    await harness.dispatcher.drain()
    harness.now += 61
    assert await harness.valkey.abandoned() == [author.response_id]


async def test_reconciler_finds_a_resumption_whose_publication_was_lost(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    await author.say("a", "b")
    await author.resume("c2", first=2)
    harness.lose()
    for _ in range(2):
        await step(harness, reconciler)
    await harness.received(author, on="c2", first=2)
    harness.valkey.published.append((RELAY, f"{author.response_id} c2 2 R".encode()))
    harness.pump()  # it was only late
    await author.say("c")
    harness.pump()
    await harness.received(author, on="c2", first=2)
    assert not harness.connections.posts["c1"]


async def test_reconciler_closes_the_connection_of_what_it_finds_in_doubt(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    """The reply to a takeover was lost: the responses are this relay's, and it does not know."""
    author = await harness.open("c1")
    checkpoint = DeliveryCheckpoint(0, TailState.IN_DOUBT)
    await harness.valkey.checkpoint(
        author.response_id, checkpoint, relay_id=RELAY, connection_id="c1"
    )
    harness.lose()
    for _ in range(2):
        await step(harness, reconciler)
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_reconciler_drops_what_another_relay_has(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    harness.pump()
    await harness.completed(author)
    other = await harness.join("relay-b")
    harness.now += 2
    await other.lease.beat()
    harness.now += 2
    await other.failover.step()
    for _ in range(2):
        await step(harness, reconciler)
    assert not harness.dispatcher.deliveries
    assert not harness.connections.deleted
    await author.say("a")
    harness.pump()
    await harness.received(author)


async def test_reconciler_leaves_alone_what_is_being_closed(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    throttled, waiting = await harness.open("c1"), await harness.open("c1")
    harness.connections.fail("c1", PostUncertainError("?"))
    harness.connections.fail("c1", *[PostThrottledError("429")] * 1000)
    harness.pump()
    await eventually(lambda: not harness.dispatcher.deliveries)
    for _ in range(3):
        await step(harness, reconciler)
    await throttled.say("more")
    await waiting.say("more")
    harness.pump()
    assert not harness.dispatcher.deliveries
    assert not harness.connections.posts["c1"]


async def test_reconciler_keeps_nothing_of_ended_responses(
    harness: RelayHarness, reconciler: DeliveryReconciler
) -> None:
    author = await harness.open("c1")
    harness.pump()
    await step(harness, reconciler)
    await author.complete()
    harness.pump()
    await eventually(lambda: not harness.dispatcher.deliveries)
    await step(harness, reconciler)
    assert not reconciler._idle
