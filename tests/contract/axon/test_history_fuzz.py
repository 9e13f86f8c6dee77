"""History of what any client may send: PostgreSQL takes it, and gives it back."""

from typing import Any

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresHistoryStore, PostgresTurnStore
from axon.exceptions import RequestError
from axon.history import HistoryRecord
from axon.ids import new_id
from axon.jobs import Job, new_job
from axon.protocol.messages import parse_object
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse, parse_event
from tests.support.message_fuzz import MessageFuzz
from tests.support.principals import a_principal

RECORDS = 150


def job(message: str) -> Job | None:
    """Return the job of a message; None if it is refused or asks for none."""
    try:
        request = parse_event(parse_object(message))
    except RequestError:
        return None
    if not isinstance(request, CreateResponse) or request.model != "echo":
        return None  # other names are unknown models
    return new_job(
        request.model_copy(update={"previous_response_id": None}),
        response=response_object(request, response_id=new_id("resp"), created_at=1_700_000_000),
        principal=a_principal(),
        connection_id="c",
        conversation_id=new_id("conv"),
        created_ms=1_700_000_000_000,
    )


def as_kept(value: Any) -> Any:
    """Return JSON as PostgreSQL keeps it, which has no place for NUL characters."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd")
        case dict():
            return {as_kept(key): as_kept(part) for key, part in value.items()}
        case list():
            return [as_kept(part) for part in value]
        case _:
            return value


async def test_history_store_takes_whatever_was_accepted(pool: Pool) -> None:
    fuzz = MessageFuzz(7, response_ids=())
    records: list[HistoryRecord] = []
    while len(records) < RECORDS:
        if made := job(fuzz.message()):
            response = made.response | {"status": "completed", "previous_response_id": None}
            made = made.model_copy(update={"response": response})
            records.append(HistoryRecord.of(made, response=response, version=1, ended_ms=1))
    await PostgresHistoryStore(pool=pool).write(records)
    store = PostgresTurnStore(pool=pool)
    for record in records:
        (turn,) = await store.chain(record.response_id)
        assert turn.input == as_kept(record.input)
