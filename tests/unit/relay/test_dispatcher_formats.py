"""A relay does not deliver what only a newer version can read, and lets its client resume."""

import pytest

from axon.formats import UnreadableLogError
from axon.serialization import loads
from tests.unit.relay.relay_harness import RELAY, RelayHarness


@pytest.mark.parametrize("relay_id", [RELAY, "another"])
async def test_dispatcher_closes_a_connection_whose_log_only_a_newer_version_can_read(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch, relay_id: str
) -> None:
    async def describe(response_id: str) -> None:
        raise UnreadableLogError(response_id, connection_id="c1", relay_id=relay_id)

    author = await harness.open("c1")
    monkeypatch.setattr(harness.valkey, "describe", describe)
    await harness.dispatcher.find(author.response_id)
    await harness.dispatcher.drain()
    own = relay_id == RELAY
    codes = [loads(post)["code"] for post in harness.connections.posts["c1"]]
    assert codes == (["stream_interrupted"] if own else [])
    assert await harness.valkey.undelivered(RELAY) == (set() if own else {author.response_id})
