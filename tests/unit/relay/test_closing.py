import pytest

from tests.unit.relay.relay_harness import RELAY, RelayHarness


async def test_connection_closer_completes_responses_added_while_it_closes(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await harness.open("c1")
    opened = [first.response_id]
    delivered = harness.valkey.delivered

    async def find_another(
        relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        if len(opened) < 3:
            opened.append((await harness.open("c1")).response_id)
            harness.dispatcher.close("c1", opened[-1:])
        await delivered(relay_id, response_id, connection_id=connection_id)

    monkeypatch.setattr(harness.valkey, "delivered", find_another)
    harness.lose()
    harness.dispatcher.close("c1", [first.response_id])
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert await harness.valkey.undelivered(RELAY) == set()
    harness.now += 61
    assert await harness.valkey.abandoned() == opened
