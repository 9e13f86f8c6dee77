from dataclasses import replace

from axon.event_log.openings import OpenResult
from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness


class TestModelDirectory:
    async def test_lists_registered_models_sorted(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        await harness.models.register((), retention_s=600)
        assert await harness.models.list() == ["big", "echo", "small"]

    async def test_expires_a_registered_model(self, harness: EventLogHarness) -> None:
        await harness.models.register(("old",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_does_not_shorten_a_longer_registration(self, harness: EventLogHarness) -> None:
        await harness.models.register(("echo",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_knows_an_expected_model_as_unattended(self, harness: EventLogHarness) -> None:
        await harness.models.expect(("asleep",), retention_s=600)
        await harness.models.expect((), retention_s=600)
        assert await harness.models.list() == ["asleep", "echo"]
        opening = await harness.log.open(replace(NEW, model="asleep"))
        assert opening.outcome is OpenResult.UNATTENDED

    async def test_expires_an_expected_model(self, harness: EventLogHarness) -> None:
        await harness.models.expect(("asleep",), retention_s=0.01)
        await harness.seconds(0.03)
        assert await harness.models.list() == ["echo"]

    async def test_leaves_a_served_model_attended_when_it_is_expected(
        self, harness: EventLogHarness
    ) -> None:
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_forgets_a_removed_model(self, harness: EventLogHarness) -> None:
        await harness.models.register(("small", "big"), retention_s=600)
        for _ in range(2):
            await harness.models.remove(("echo", "small", "never"))
        await harness.models.remove(())
        assert await harness.models.list() == ["big"]
        opening = await harness.log.open(NEW)
        assert opening.outcome is OpenResult.UNKNOWN_MODEL

    async def test_registers_a_removed_model_again(self, harness: EventLogHarness) -> None:
        await harness.models.remove(("echo",))
        await harness.models.expect(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await harness.models.register(("echo",), retention_s=600)
        assert await harness.models.list() == ["echo"]
        opening = await harness.log.open(replace(NEW, response_id="resp_2"))
        assert opening.outcome is OpenResult.OPENED
