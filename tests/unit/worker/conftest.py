import pytest

from tests.unit.worker.attempt.attempt_harness import AttemptHarness


@pytest.fixture
async def harness() -> AttemptHarness:
    harness = AttemptHarness()
    await harness.begin()
    return harness
