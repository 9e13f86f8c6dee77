from dataclasses import replace

from axon.event_log.log import OpenResult
from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness


class TestRelays:
    async def test_none_has_expired_while_its_lease_lasts(self, harness: EventLogHarness) -> None:
        assert await harness.relays.expired() == []

    async def test_a_lease_ends(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.seconds(0.03)
        for _ in range(2):
            assert await harness.relays.expired() == ["r2"]

    async def test_a_heartbeat_extends_it(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r2", lease_s=0.01)
        await harness.relays.heartbeat("r2", lease_s=600)
        await harness.seconds(0.03)
        assert await harness.relays.expired() == []

    async def test_one_that_leaves_has_expired_and_keeps_what_it_has(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        for _ in range(2):
            await harness.relays.end_lease("r1")
            assert await harness.relays.expired() == ["r1"]
        assert await harness.relays.undelivered("r1") == {"resp_1"}

    async def test_what_was_delivered_is_done_with(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.log.open(replace(NEW, response_id="resp_2"))
        await harness.relays.delivered("r1", "resp_1")
        await harness.relays.delivered("r1", "resp_unknown")
        await harness.relays.delivered("unknown", "resp_2")
        assert await harness.relays.undelivered("r1") == {"resp_2"}

    async def test_what_was_resumed_elsewhere_is_not_done_with(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await harness.relays.delivered("r1", "resp_1", connection_id="c1")
        assert await harness.relays.undelivered("r1") == {"resp_1"}
        await harness.relays.delivered("r1", "resp_1", connection_id="c2")
        assert await harness.relays.undelivered("r1") == set()

    async def test_an_unknown_relay_has_nothing_to_deliver(self, harness: EventLogHarness) -> None:
        assert await harness.relays.undelivered("unknown") == set()


class TestModels:
    async def test_what_was_announced_is_known_and_sorted(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        await harness.models.register((), retention_s=600)
        assert await harness.models.list() == ["big", "echo", "small"]

    async def test_for_a_while(self, harness: EventLogHarness) -> None:
        await harness.models.register(("old",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_a_shorter_announcement_does_not_shorten_a_longer_one(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.register(("echo",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_what_is_expected_is_known_and_wakes_workers(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.expect(("asleep",), retention_s=600)
        await harness.models.expect((), retention_s=600)
        assert await harness.models.list() == ["asleep", "echo"]
        opening = await harness.log.open(replace(NEW, model="asleep"))
        assert opening.outcome is OpenResult.UNATTENDED

    async def test_for_a_while_too(self, harness: EventLogHarness) -> None:
        await harness.models.expect(("asleep",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_what_is_served_is_not_taken_for_asleep(self, harness: EventLogHarness) -> None:
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_what_was_forgotten_is_unknown(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        for _ in range(2):
            await harness.models.remove(("echo", "small", "never"))
        await harness.models.remove(())
        assert await harness.models.list() == ["big"]
        opening = await harness.log.open(NEW)
        assert opening.outcome is OpenResult.UNKNOWN_MODEL

    async def test_until_it_is_announced_again(self, harness: EventLogHarness) -> None:
        await harness.models.remove(("echo",))
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await harness.models.register(("echo",), retention_s=600)
        assert await harness.models.list() == ["echo"]
        opening = await harness.log.open(replace(NEW, response_id="resp_2"))
        assert opening.outcome is OpenResult.OPENED
