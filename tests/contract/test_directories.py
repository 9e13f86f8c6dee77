from dataclasses import replace

from axon.event_log.log import OpenResult
from tests.contract.conftest import Bench
from tests.contract.event_log_samples import NEW


class TestRelays:
    async def test_none_has_expired_while_its_lease_lasts(self, bench: Bench) -> None:
        assert await bench.relays.expired() == []

    async def test_a_lease_ends(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r2", lease_s=0.01)
        await bench.seconds(0.03)
        for _ in range(2):
            assert await bench.relays.expired() == ["r2"]

    async def test_a_heartbeat_extends_it(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r2", lease_s=0.01)
        await bench.relays.heartbeat("r2", lease_s=600)
        await bench.seconds(0.03)
        assert await bench.relays.expired() == []

    async def test_one_that_leaves_has_expired_and_keeps_what_it_has(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        for _ in range(2):
            await bench.relays.leave("r1")
            assert await bench.relays.expired() == ["r1"]
        assert await bench.relays.undelivered("r1") == {"resp_1"}

    async def test_what_was_delivered_is_done_with(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.open(replace(NEW, response_id="resp_2"))
        await bench.relays.delivered("r1", "resp_1")
        await bench.relays.delivered("r1", "resp_unknown")
        await bench.relays.delivered("unknown", "resp_2")
        assert await bench.relays.undelivered("r1") == {"resp_2"}

    async def test_what_was_resumed_elsewhere_is_not_done_with(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await bench.relays.delivered("r1", "resp_1", connection_id="c1")
        assert await bench.relays.undelivered("r1") == {"resp_1"}
        await bench.relays.delivered("r1", "resp_1", connection_id="c2")
        assert await bench.relays.undelivered("r1") == set()

    async def test_an_unknown_relay_has_nothing_to_deliver(self, bench: Bench) -> None:
        assert await bench.relays.undelivered("unknown") == set()


class TestModels:
    async def test_what_was_announced_is_known_and_sorted(self, bench: Bench) -> None:
        await bench.models.announce(("small", "big"), retention_s=600)
        await bench.models.announce((), retention_s=600)
        assert await bench.models.list() == ["big", "echo", "small"]

    async def test_for_a_while(self, bench: Bench) -> None:
        await bench.models.announce(("old",), retention_s=0.01)
        await bench.seconds(0.03)
        assert await bench.models.list() == ["echo"]

    async def test_a_shorter_announcement_does_not_shorten_a_longer_one(self, bench: Bench) -> None:
        await bench.models.announce(("echo",), retention_s=0.01)
        await bench.seconds(0.03)
        assert await bench.models.list() == ["echo"]

    async def test_what_is_expected_is_known_and_wakes_workers(self, bench: Bench) -> None:
        await bench.models.expect(("asleep",), retention_s=600)
        await bench.models.expect((), retention_s=600)
        assert await bench.models.list() == ["asleep", "echo"]
        opening = await bench.log.open(replace(NEW, model="asleep"))
        assert opening.outcome is OpenResult.UNATTENDED

    async def test_for_a_while_too(self, bench: Bench) -> None:
        await bench.models.expect(("asleep",), retention_s=0.01)
        await bench.seconds(0.03)
        assert await bench.models.list() == ["echo"]

    async def test_what_is_served_is_not_taken_for_asleep(self, bench: Bench) -> None:
        await bench.models.expect(("echo",), retention_s=600)
        assert (await bench.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_what_was_forgotten_is_unknown(self, bench: Bench) -> None:
        await bench.models.announce(("small", "big"), retention_s=600)
        for _ in range(2):
            await bench.models.forget(("echo", "small", "never"))
        await bench.models.forget(())
        assert await bench.models.list() == ["big"]
        opening = await bench.log.open(NEW)
        assert opening.outcome is OpenResult.UNKNOWN_MODEL

    async def test_until_it_is_announced_again(self, bench: Bench) -> None:
        await bench.models.forget(("echo",))
        await bench.models.expect(("echo",), retention_s=600)
        assert (await bench.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await bench.models.announce(("echo",), retention_s=600)
        assert await bench.models.list() == ["echo"]
        opening = await bench.log.open(replace(NEW, response_id="resp_2"))
        assert opening.outcome is OpenResult.OPENED
