"""What the log publishes is byte for byte what `Publication.encode` gives, for each kind."""

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.publication import Kind, Publication
from tests.contract.conftest import Bench
from tests.contract.event_log_samples import IN_PROGRESS, NEW, end, events, open_and_claim

TEXT = LoggedEvent(2, '{"text":"wörld 🌍 \\n \\u0000"}'.encode(), (1, 2))


def encoded(first: int, kind: Kind, *lines: bytes, granted: bool = False) -> bytes:
    return Publication("resp_1", "c1", first, kind, lines, granted=granted).encode()


async def test_publication_of_granted_events_has_the_encoders_bytes(bench: Bench) -> None:
    await bench.log.open(NEW)
    assert bench.published() == [("r1", encoded(0, Kind.EVENTS, NEW.created, granted=True))]


async def test_publication_of_a_claim_has_the_encoders_bytes(bench: Bench) -> None:
    await open_and_claim(bench.log)
    assert bench.published()[1:] == [("r1", encoded(1, Kind.EVENTS, IN_PROGRESS))]


async def test_publication_of_events_has_the_encoders_bytes(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    bench.published()
    batch = [TEXT, *events(3)]
    await bench.log.append("resp_1", epoch=claim.epoch, events=batch)
    lines = [event.data for event in batch]
    assert bench.published() == [("r1", encoded(2, Kind.EVENTS, *lines))]


async def test_publication_of_the_last_events_has_the_encoders_bytes(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    bench.published()
    await end(bench.log, claim)
    assert bench.published() == [("r1", encoded(2, Kind.LAST_EVENTS, events(2)[0].data))]


async def test_publication_of_granted_last_events_has_the_encoders_bytes(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    arrived = DeliveryCheckpoint(2)
    await bench.log.checkpoint("resp_1", arrived, relay_id="r1", connection_id="c1")
    bench.published()
    await bench.log.append("resp_1", epoch=claim.epoch, events=[TEXT], status=Status.COMPLETED)
    assert bench.published() == [("r1", encoded(2, Kind.LAST_EVENTS, TEXT.data, granted=True))]


async def test_publications_of_a_resumption_have_the_encoders_bytes(bench: Bench) -> None:
    await bench.log.open(NEW)
    await bench.relays.heartbeat("r2", lease_s=600)
    bench.published()
    await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=1)
    assert bench.published() == [
        ("r1", Publication("resp_1", "c1", 0, Kind.MOVED).encode()),
        ("r2", Publication("resp_1", "c2", 1, Kind.RESUMED).encode()),
    ]
