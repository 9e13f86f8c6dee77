from relay.lease import Lease
from tests.unit.relay.relay_harness import RelayHarness


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
