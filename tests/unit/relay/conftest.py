from collections.abc import AsyncIterator

import pytest

from tests.unit.relay.connection_writer_harness import Scene
from tests.unit.relay.relay_harness import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Connections "c1" and "c2", and one relay that has just registered."""
    world = World()
    await world.begin("c1", "c2")
    yield world
    await world.end()


@pytest.fixture
def scene() -> Scene:
    return Scene()
