"""The fences of responses: in memory, and in Valkey."""

from dataclasses import replace

from axon.event_log.fence import Fence
from axon.event_log.log import LoggedEvent, Status
from tests.contract.axon.event_log.event_log_samples import NEW
from tests.contract.conftest import EventLogHarness


async def test_fences_show_the_latest_claim_and_the_end(harness: EventLogHarness) -> None:
    for response_id in ("r1", "r2"):
        await harness.log.open(replace(NEW, response_id=response_id))
    assert list(await harness.fences.fences(["r1", "lost", "r2"])) == [
        Fence(Status.QUEUED, 0), None, Fence(Status.QUEUED, 0)
    ]  # fmt: skip
    claim = await harness.log.claim("r1")
    await harness.log.append(
        "r1", epoch=claim.epoch, events=[LoggedEvent(1, b"{}")], status=Status.CANCELLED
    )
    ended, running = await harness.fences.fences(["r1", "r2"])
    assert ended == Fence(Status.CANCELLED, claim.epoch, claim.nonce)
    assert running == Fence(Status.QUEUED, 0)
    assert list(await harness.fences.fences([])) == []
