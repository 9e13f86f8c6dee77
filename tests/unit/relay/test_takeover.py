import pytest

from axon.connections import ConnectionsError, PostThrottledError
from axon.event_log import Status
from axon.exceptions import UnavailableError
from relay.takeover import Takeover
from tests.unit.relay.world import RELAY, World

DEAD = "relay-dead"


@pytest.fixture
def takeover(world: World) -> Takeover:
    return Takeover(log=world.valkey, directory=world.valkey, settlement=world.settlement)


@pytest.fixture
async def responses(world: World) -> set[str]:
    """Three responses of two connections, given to a relay that has died since."""
    await world.valkey.leave(RELAY)
    await world.valkey.heartbeat(DEAD, lease_s=3)
    authors = [await world.open(connection_id) for connection_id in ("c1", "c2", "c1")]
    assert len(await world.valkey.undelivered(DEAD)) == 3
    world.now += 4
    await world.valkey.heartbeat(RELAY, lease_s=3)
    return {author.response_id for author in authors}


async def test_closes_each_connection_of_a_dead_relay_once(
    world: World, takeover: Takeover, responses: set[str]
) -> None:
    await takeover.step()
    assert sorted(world.connections.deleted) == ["c1", "c2"]
    assert await world.valkey.undelivered(DEAD) == set()
    for response_id in responses:
        meta = await world.valkey.describe(response_id)
        assert meta is not None
        assert meta.status is Status.CANCELLED
    await takeover.step()
    assert sorted(world.connections.deleted) == ["c1", "c2"]


async def test_goes_on_after_throttling_and_refusals(
    world: World, takeover: Takeover, responses: set[str]
) -> None:
    world.connections.fail("c1", PostThrottledError("429"), PostThrottledError("429"))
    world.connections.fail("c2", ConnectionsError("400"))
    await takeover.step()
    assert world.connections.deleted == ["c1"]
    assert await world.valkey.undelivered(DEAD) == set()


async def test_goes_on_when_valkey_was_away(
    world: World, takeover: Takeover, responses: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [UnavailableError("away")]
    undelivered = world.valkey.undelivered

    async def sometimes(relay_id: str) -> set[str]:
        if failures:
            raise failures.pop()
        return await undelivered(relay_id)

    monkeypatch.setattr(world.valkey, "undelivered", sometimes)
    await takeover.step()
    assert sorted(world.connections.deleted) == ["c1", "c2"]


async def test_does_not_take_over_itself(world: World, takeover: Takeover) -> None:
    author = await world.open("c1")
    world.now += 4  # its own lease has ended, too
    await takeover.step()
    assert world.connections.deleted == []
    assert await world.valkey.undelivered(RELAY) == {author.response_id}


async def test_leaves_alone_who_lives(world: World, takeover: Takeover) -> None:
    await world.open("c1")
    await takeover.step()
    assert world.connections.deleted == []


async def test_what_came_meanwhile_stays(
    world: World, takeover: Takeover, responses: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that is back under its name may be given new responses at once."""
    describe = world.valkey.describe
    await world.valkey.enter("c3", tenant_id="tenant")
    added: set[str] = set()

    async def meanwhile(response_id: str) -> object:
        if not added:
            await world.valkey.leave(RELAY)
            await world.valkey.heartbeat(DEAD, lease_s=3)
            added.add((await world.open("c3")).response_id)
        return await describe(response_id)

    monkeypatch.setattr(world.valkey, "describe", meanwhile)
    assert await takeover.left_by(DEAD) == responses
    await takeover.settle(DEAD)
    assert await world.valkey.undelivered(DEAD) == added
    assert sorted(world.connections.deleted) == ["c1", "c2"]
