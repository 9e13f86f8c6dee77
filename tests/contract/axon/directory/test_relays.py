from dataclasses import replace

from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness


class TestRelayDirectory:
    async def test_lists_no_relay_as_expired_during_its_lease(
        self, harness: EventLogHarness
    ) -> None:
        assert await harness.relays.expired() == []

    async def test_lists_a_relay_as_expired_after_its_lease(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.seconds(0.03)
        for _ in range(2):
            assert await harness.relays.expired() == ["r2"]

    async def test_renews_the_lease_with_a_heartbeat(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.relays.heartbeat("r2", lease_s=600)
        await harness.seconds(0.03)
        assert await harness.relays.expired() == []

    async def test_keeps_the_deliveries_of_a_relay_that_ends_its_lease(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        for _ in range(2):
            await harness.relays.end_lease("r1")
            assert await harness.relays.expired() == ["r1"]
        assert await harness.relays.undelivered("r1") == {"resp_1"}

    async def test_lists_connections_whose_responses_are_lost(
        self, harness: EventLogHarness
    ) -> None:
        many = {f"c{number}" for number in range(250)}
        await harness.relays.note_lost("r1", many)
        await harness.relays.note_lost("r1", {"c1", "more"})
        assert await harness.relays.lost("r1") == many | {"more"}
        assert await harness.relays.lost("r2") == set()

    async def test_removes_a_completed_delivery(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.log.open(replace(NEW, response_id="resp_2"))
        await harness.relays.delivered("r1", "resp_1")
        await harness.relays.delivered("r1", "resp_unknown")
        await harness.relays.delivered("unknown", "resp_2")
        assert await harness.relays.undelivered("r1") == {"resp_2"}

    async def test_keeps_a_delivery_that_was_resumed_elsewhere(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await harness.relays.delivered("r1", "resp_1", connection_id="c1")
        assert await harness.relays.undelivered("r1") == {"resp_1"}
        await harness.relays.delivered("r1", "resp_1", connection_id="c2")
        assert await harness.relays.undelivered("r1") == set()

    async def test_has_no_deliveries_of_an_unknown_relay(self, harness: EventLogHarness) -> None:
        assert await harness.relays.undelivered("unknown") == set()
