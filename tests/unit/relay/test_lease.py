from relay.lease import Lease
from tests.unit.relay.relay_harness import World


async def test_lives_as_long_as_the_relay_in_the_directory(world: World) -> None:
    lease = Lease(relay_id="relay-b", directory=world.valkey, length_s=3, clock=lambda: world.now)
    before = lease.alive
    await lease.beat()
    assert (before, lease.alive) == (False, True)
    world.now += lease.beat_s
    await lease.beat()
    world.now += 2.9
    assert "relay-b" not in await world.valkey.expired()
    before = lease.alive
    world.now += 0.2
    assert (before, lease.alive) == (True, False)
    assert "relay-b" in await world.valkey.expired()


async def test_ends_at_once(world: World) -> None:
    lease = Lease(relay_id="relay-a", directory=world.valkey, length_s=3, clock=lambda: world.now)
    await lease.beat()
    await lease.end()
    assert not lease.alive
    assert await world.valkey.expired() == ["relay-a"]  # others may adopt what it has
