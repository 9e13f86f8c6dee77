"""Responses, events and attempts as the event log's tests use them."""

from collections.abc import Sequence
from dataclasses import replace

from axon.event_log.log import Claim, EventLog, LoggedEvent, ResponseMeta, Status
from axon.event_log.openings import NewResponse, OpenResult
from tests.contract.conftest import EventLogHarness
from tests.support.principals import a_principal

NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    key_id="key_1",
    connection_id="c1",
    model="echo",
    job=b'{"job":1}',
    created=b'{"n":0}',
)
IN_PROGRESS = b'{"n":1}'


def events(first: int, count: int = 1, *, token_ids: tuple[int, ...] = ()) -> list[LoggedEvent]:
    numbers = range(first, first + count)
    return [LoggedEvent(n, b'{"n":%d}' % n, token_ids) for n in numbers]


async def prepare(harness: EventLogHarness) -> None:
    """Register relay "r1", model "echo" and connection "c1"."""
    await harness.models.register(("echo",), retention_s=600)
    await harness.relays.heartbeat("r1", lease_s=600)
    await harness.connections.register("c1", principal=a_principal())


async def described(log: EventLog, response_id: str = "resp_1") -> ResponseMeta:
    meta = await log.describe(response_id)
    assert meta is not None
    return meta


async def open_and_claim(
    log: EventLog, response_id: str = "resp_1", *, new: NewResponse = NEW
) -> Claim:
    opening = await log.open(replace(new, response_id=response_id))
    assert opening.outcome is OpenResult.OPENED
    return await log.claim(response_id, in_progress=IN_PROGRESS)


async def numbers(log: EventLog, *, after: int = -1) -> list[int]:
    return [event.sequence_number for event in await log.read("resp_1", after=after)]


async def end(
    log: EventLog,
    claim: Claim,
    *,
    status: Status = Status.COMPLETED,
    response_id: str = "resp_1",
) -> None:
    final = events(claim.next_sequence)
    await log.append(response_id, epoch=claim.epoch, events=final, status=status)


def payload(response_id: str, first: int, checkpoint: str, lines: Sequence[bytes]) -> bytes:
    return b"\n".join([f"{response_id} c1 {first} {checkpoint}".encode(), *lines])
