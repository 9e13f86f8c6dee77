"""Followers over the fake event log and over the one in Valkey."""

import pytest

from tests.contract.axon.event_log.follower_harness import MakeFollower, fake, real


@pytest.fixture(params=["fake", "real"])
def make_follower(request: pytest.FixtureRequest) -> MakeFollower:
    """Return a maker of harnesses: an asynchronous context manager."""
    if request.param == "fake":
        return fake
    url: str = request.getfixturevalue("valkey_url")
    return lambda **changes: real(url, **changes)
