import pytest

from axon.adapters.valkey import api_keys as adapter
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.event_log.log import Status
from axon.serialization import loads
from tests.integration.relay.relay_harness import CONNECTIONS, RelayHarness
from tests.support.eventually import eventually
from tests.support.principals import a_principal

KEY = a_principal().key_id
ASKING, SILENT, OTHER = CONNECTIONS[:3]


async def test_relay_ends_what_a_revoked_key_has_open(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "CLOSE_AFTER_S", 0.1)
    connections = ValkeyOpenConnections(valkey=harness.valkey)
    for connection_id in (ASKING, SILENT):
        await connections.note(KEY, connection_id)
    await connections.note("key_2", OTHER)
    posts = harness.gateway.posts
    async with harness.relay():
        author, other = await harness.open(ASKING), await harness.open(OTHER)
        for each in (author, other):
            await each.say("word")
        await harness.completed(author, other)
        assert await connections.revoke(KEY)
        await eventually(lambda: sorted(harness.gateway.deleted) == sorted([ASKING, SILENT]))
        await harness.reaches(author, Status.CANCELLED)
        assert await harness.status(other) is Status.IN_PROGRESS
        await other.complete()
        await harness.all_delivered()
    (notice,) = map(loads, posts[SILENT])
    assert (notice["type"], notice["status"], notice["code"]) == ("error", 401, "invalid_api_key")
    assert posts[ASKING][len(author.written)] == posts[SILENT][0]
    assert all(loads(post)["type"] != "error" for post in posts[OTHER])
