from relay.lease import Lease
from tests.unit.relay.relay_harness import RELAY, RelayHarness


async def test_lease_lasts_as_long_as_the_directory_says(harness: RelayHarness) -> None:
    lease = Lease(
        relay_id="relay-b", directory=harness.valkey, length_s=3, clock=lambda: harness.now
    )
    before = lease.alive
    await lease.beat()
    assert (before, lease.alive) == (False, True)
    harness.now += lease.beat_s
    await lease.beat()
    harness.now += 2.9
    assert "relay-b" not in await harness.valkey.expired()
    before = lease.alive
    harness.now += 0.2
    assert (before, lease.alive) == (True, False)
    assert "relay-b" in await harness.valkey.expired()


async def test_lease_ends_at_once_on_request(harness: RelayHarness) -> None:
    lease = Lease(
        relay_id="relay-a", directory=harness.valkey, length_s=3, clock=lambda: harness.now
    )
    await lease.beat()
    await lease.end()
    assert not lease.alive
    assert await harness.valkey.expired() == ["relay-a"]  # peers may take over its deliveries


async def test_lease_that_begins_after_all_have_ended_counts_as_resumed(
    harness: RelayHarness,
) -> None:
    """As after an outage of Valkey: the other relays live, and have not renewed theirs yet."""
    await harness.relay.lease.beat()
    harness.now += 4
    lease = (await harness.join("relay-b")).lease
    assert lease.resumed
    await harness.relay.lease.beat()
    harness.now += 8.9
    before = lease.resumed
    harness.now += 0.2
    assert (before, lease.resumed) == (True, False)


async def test_lease_that_begins_with_nobody_to_wait_for_is_not_resumed(
    harness: RelayHarness,
) -> None:
    first = harness.relay.lease
    await first.beat()  # the deployment's first start
    second = (await harness.join("relay-b")).lease  # the other's lease is valid
    assert (first.resumed, second.resumed) == (False, False)
    harness.now += 4
    again = Lease(relay_id=RELAY, directory=harness.valkey, length_s=3, clock=lambda: harness.now)
    await second.end()
    assert await harness.valkey.take_over("relay-b", successor_id=RELAY) == []
    await again.beat()  # only its own earlier process has left something
    assert not again.resumed


async def test_lease_that_follows_an_orderly_end_is_not_resumed(harness: RelayHarness) -> None:
    await harness.relay.lease.beat()
    await harness.relay.lease.end()
    assert not (await harness.join("relay-b")).lease.resumed
