import pytest

from tests.unit.worker.workplace import Workplace


@pytest.fixture
async def world() -> Workplace:
    world = Workplace()
    await world.begin()
    return world
