import pytest

from tests.unit.worker.attempt.attempt_harness import Workplace


@pytest.fixture
async def world() -> Workplace:
    world = Workplace()
    await world.begin()
    return world
