from collections.abc import AsyncIterator

import pytest

from tests.unit.relay.connection_writer_harness import WriterHarness
from tests.unit.relay.relay_harness import RelayHarness


@pytest.fixture
async def harness() -> AsyncIterator[RelayHarness]:
    """Connections "c1" and "c2", and one relay that has just registered."""
    harness = RelayHarness()
    await harness.begin("c1", "c2")
    yield harness
    await harness.end()


@pytest.fixture
def writer_harness() -> WriterHarness:
    return WriterHarness()
