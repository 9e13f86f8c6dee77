"""Responses, events and attempts as the event log's tests use them."""

from collections.abc import Sequence
from dataclasses import replace

from axon.event_log import Claim, EventLog, LoggedEvent, NewResponse, Opening, Status

NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    connection_id="c1",
    model="echo",
    job=b'{"job":1}',
    created=b'{"n":0}',
)
IN_PROGRESS = b'{"n":1}'


def events(first: int, count: int = 1, *, token_ids: tuple[int, ...] = ()) -> list[LoggedEvent]:
    numbers = range(first, first + count)
    return [LoggedEvent(n, b'{"n":%d}' % n, token_ids) for n in numbers]


async def open_and_claim(log: EventLog, response_id: str = "resp_1") -> Claim:
    assert await log.open(replace(NEW, response_id=response_id)) is Opening.OPENED
    return await log.claim(response_id, in_progress=IN_PROGRESS)


async def numbers(log: EventLog, *, after: int = -1) -> list[int]:
    return [event.sequence_number for event in await log.read("resp_1", after=after)]


async def end(log: EventLog, claim: Claim, *, status: Status = Status.COMPLETED) -> None:
    final = events(claim.next_sequence)
    await log.append("resp_1", epoch=claim.epoch, events=final, status=status)


def payload(response_id: str, first: int, mark: str, lines: Sequence[bytes]) -> bytes:
    return b"\n".join([f"{response_id} c1 {first} {mark}".encode(), *lines])
