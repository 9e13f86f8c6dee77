from collections.abc import AsyncIterator

import pytest

from tests.unit.front.front_harness import FrontHarness


@pytest.fixture
async def harness() -> AsyncIterator[FrontHarness]:
    """A front that serves; at the end, nothing may follow or attend anything."""
    harness = FrontHarness()
    await harness.begin()
    yield harness
    await harness.end()
