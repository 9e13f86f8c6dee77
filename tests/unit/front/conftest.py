from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.front.front_harness import FrontHarness


@pytest.fixture
def harness_options() -> dict[str, Any]:
    return {}


@pytest.fixture
async def harness(harness_options: dict[str, Any]) -> AsyncIterator[FrontHarness]:
    """A front that serves; at the end, nothing may follow or attend anything."""
    harness = FrontHarness(**harness_options)
    await harness.begin()
    yield harness
    await harness.end()
