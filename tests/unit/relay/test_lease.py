from relay.lease import Lease
from tests.unit.relay.world import World


async def test_lives_as_long_as_the_relay_in_the_directory(world: World) -> None:
    await world.valkey.leave("relay-a")
    lease = Lease(relay_id="relay-b", directory=world.valkey, length_s=3, clock=lambda: world.now)
    before = lease.alive
    await lease.beat()
    assert (before, lease.alive) == (False, True)
    world.now += lease.beat_s
    await lease.beat()
    world.now += 2.9
    assert await world.valkey.take_expired() == []
    before = lease.alive
    world.now += 0.2
    assert (before, lease.alive) == (True, False)
    assert await world.valkey.take_expired() == ["relay-b"]


async def test_ends_at_once(world: World) -> None:
    lease = Lease(relay_id="relay-a", directory=world.valkey, length_s=3, clock=lambda: world.now)
    await lease.beat()
    await lease.end()
    assert not lease.alive
    world.now += 10
    assert await world.valkey.take_expired() == []
