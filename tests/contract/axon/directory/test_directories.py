from dataclasses import replace

from axon.event_log.log import OpenResult
from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness


class TestRelayDirectory:
    async def test_no_relay_has_expired_during_its_lease(self, harness: EventLogHarness) -> None:
        assert await harness.relays.expired() == []

    async def test_a_relay_expires_with_its_lease(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.seconds(0.03)
        for _ in range(2):
            assert await harness.relays.expired() == ["r2"]

    async def test_a_heartbeat_renews_the_lease(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.relays.heartbeat("r2", lease_s=600)
        await harness.seconds(0.03)
        assert await harness.relays.expired() == []

    async def test_ending_the_lease_expires_the_relay_and_keeps_its_deliveries(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        for _ in range(2):
            await harness.relays.end_lease("r1")
            assert await harness.relays.expired() == ["r1"]
        assert await harness.relays.undelivered("r1") == {"resp_1"}

    async def test_delivered_removes_a_delivery(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.log.open(replace(NEW, response_id="resp_2"))
        await harness.relays.delivered("r1", "resp_1")
        await harness.relays.delivered("r1", "resp_unknown")
        await harness.relays.delivered("unknown", "resp_2")
        assert await harness.relays.undelivered("r1") == {"resp_2"}

    async def test_delivered_keeps_a_delivery_that_was_resumed_elsewhere(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await harness.relays.delivered("r1", "resp_1", connection_id="c1")
        assert await harness.relays.undelivered("r1") == {"resp_1"}
        await harness.relays.delivered("r1", "resp_1", connection_id="c2")
        assert await harness.relays.undelivered("r1") == set()

    async def test_an_unknown_relay_has_no_deliveries(self, harness: EventLogHarness) -> None:
        assert await harness.relays.undelivered("unknown") == set()


class TestModelDirectory:
    async def test_registered_models_are_listed_sorted(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        await harness.models.register((), retention_s=600)
        assert await harness.models.list() == ["big", "echo", "small"]

    async def test_a_registered_model_expires(self, harness: EventLogHarness) -> None:
        await harness.models.register(("old",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_a_shorter_registration_does_not_shorten_a_longer_one(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.register(("echo",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_an_expected_model_is_known_and_unattended(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.expect(("asleep",), retention_s=600)
        await harness.models.expect((), retention_s=600)
        assert await harness.models.list() == ["asleep", "echo"]
        opening = await harness.log.open(replace(NEW, model="asleep"))
        assert opening.outcome is OpenResult.UNATTENDED

    async def test_an_expected_model_expires(self, harness: EventLogHarness) -> None:
        await harness.models.expect(("asleep",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_expecting_a_served_model_leaves_it_attended(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_a_removed_model_is_unknown(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        for _ in range(2):
            await harness.models.remove(("echo", "small", "never"))
        await harness.models.remove(())
        assert await harness.models.list() == ["big"]
        opening = await harness.log.open(NEW)
        assert opening.outcome is OpenResult.UNKNOWN_MODEL

    async def test_a_removed_model_may_be_registered_again(self, harness: EventLogHarness) -> None:
        await harness.models.remove(("echo",))
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await harness.models.register(("echo",), retention_s=600)
        assert await harness.models.list() == ["echo"]
        opening = await harness.log.open(replace(NEW, response_id="resp_2"))
        assert opening.outcome is OpenResult.OPENED
