from collections.abc import AsyncIterator

import pytest

from tests.contract.event_log.follower_harness import FollowerHarness, MakeFollower, fake, real


@pytest.fixture(params=["fake", "real"])
def make_follower(request: pytest.FixtureRequest) -> MakeFollower:
    """Return a maker of harnesses: an asynchronous context manager."""
    if request.param == "fake":
        return fake
    url: str = request.getfixturevalue("valkey_url")
    return lambda **changes: real(url, **changes)


@pytest.fixture
async def harness(make_follower: MakeFollower) -> AsyncIterator[FollowerHarness]:
    async with make_follower() as made:
        yield made
