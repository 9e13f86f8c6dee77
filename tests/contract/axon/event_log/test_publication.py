"""Publications of the log have the bytes of `Publication.encode`, for each kind."""

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.publication import Kind, Publication
from tests.contract.axon.event_log.event_log_samples import (
    IN_PROGRESS,
    NEW,
    end,
    events,
    open_and_claim,
)
from tests.contract.conftest import EventLogHarness

TEXT = LoggedEvent(2, '{"text":"wörld 🌍 \\n \\u0000"}'.encode(), (1, 2))


def encoded(first: int, kind: Kind, *lines: bytes, granted: bool = False) -> bytes:
    return Publication("resp_1", "c1", first, kind, lines, granted=granted).encode()


async def test_publication_of_granted_events_has_the_encoders_bytes(
    harness: EventLogHarness,
) -> None:
    await harness.log.open(NEW)
    assert harness.published() == [("r1", encoded(0, Kind.EVENTS, NEW.created, granted=True))]


async def test_publication_of_a_claim_has_the_encoders_bytes(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log)
    assert harness.published()[1:] == [("r1", encoded(1, Kind.EVENTS, IN_PROGRESS))]


async def test_publication_of_events_has_the_encoders_bytes(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    harness.published()
    batch = [TEXT, *events(3)]
    await harness.log.append("resp_1", epoch=claim.epoch, events=batch)
    lines = [event.data for event in batch]
    assert harness.published() == [("r1", encoded(2, Kind.EVENTS, *lines))]


async def test_publication_of_the_last_events_has_the_encoders_bytes(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    harness.published()
    await end(harness.log, claim)
    assert harness.published() == [("r1", encoded(2, Kind.LAST_EVENTS, events(2)[0].data))]


async def test_publication_of_granted_last_events_has_the_encoders_bytes(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    arrived = DeliveryCheckpoint(2)
    await harness.log.checkpoint("resp_1", arrived, relay_id="r1", connection_id="c1")
    harness.published()
    await harness.log.append("resp_1", epoch=claim.epoch, events=[TEXT], status=Status.COMPLETED)
    assert harness.published() == [("r1", encoded(2, Kind.LAST_EVENTS, TEXT.data, granted=True))]


async def test_publications_of_a_resumption_have_the_encoders_bytes(
    harness: EventLogHarness,
) -> None:
    await harness.log.open(NEW)
    await harness.relays.heartbeat("r2", lease_s=600)
    harness.published()
    await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=1)
    assert harness.published() == [
        ("r1", Publication("resp_1", "c1", 0, Kind.MOVED, to="c2").encode()),
        ("r2", Publication("resp_1", "c2", 1, Kind.RESUMED).encode()),
    ]
