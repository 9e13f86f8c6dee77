"""The content of PostgreSQL and of the event logs, compared with what clients received."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from tests.chaos.answers import Answer, Fault

_RESPONSES = """
SELECT response_id, previous_response_id, conversation_id, status, input_tokens, output_tokens,
       response
FROM responses
"""
_MISCOUNTED = """
SELECT conversation_id FROM conversations
LEFT JOIN (
    SELECT conversation_id, count(*) AS responses, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens
    FROM responses GROUP BY conversation_id
) counted USING (conversation_id)
WHERE (conversations.responses, conversations.input_tokens, conversations.output_tokens)
    IS DISTINCT FROM (counted.responses, counted.input_tokens, counted.output_tokens)
"""

Row = dict[str, Any]

GIVEN_UP = {
    "code": "server_error",
    "message": "The request failed repeatedly and was given up.",
}
"""The outcome of a job that dies with three workers, whether its client is connected or not."""


async def compare_database(dsn: str, answers: Iterable[Answer]) -> list[str]:
    """Blame answers whose rows are wrong; return what concerns no answer."""
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        found = await (await connection.execute(_RESPONSES)).fetchall()
        miscounted = await (await connection.execute(_MISCOUNTED)).fetchall()
    rows = {row["response_id"]: row for row in found}
    conversations = {row["response_id"]: row["conversation_id"] for row in found}
    for answer in answers:
        row = rows.pop(answer.response_id, None)
        previous = answer.previous.response_id if answer.previous else None
        for what in _differences(answer, row, previous, conversations.get(previous or "")):
            answer.blame(Fault.LOST if row is None else Fault.WRONG, what)
    return [
        *(f"{response_id} is in the database and with no client" for response_id in rows),
        *(f"the counters of {row['conversation_id']} are wrong" for row in miscounted),
    ]


def _differences(
    answer: Answer, row: Row | None, previous: str | None, conversation: str | None
) -> Iterator[str]:
    if row is None:
        # Telling of a failure may matter more than keeping it.
        if answer.left or answer.status in ("completed", "cancelled"):
            yield "not in the database"
        return
    if answer.left:
        error = row["response"]["error"]
        if row["status"] != "cancelled" and error != GIVEN_UP:
            yield f"its client left, yet it is {row['status']} in the database: {error}"
    elif answer.final is not None and row["response"] != answer.final:
        yield f"otherwise in the database: {row}"
    if row["previous_response_id"] != previous:
        yield f"it continues {row['previous_response_id']} in the database"
    if conversation not in (None, row["conversation_id"]):
        yield f"in conversation {row['conversation_id']}, not {conversation}"


async def compare_logs(valkey: Valkey, answers: Iterable[Answer], *, forgotten: bool) -> None:
    """Blame answers whose events are not, byte for byte, those of the log.

    `forgotten`: Valkey has lost some.
    """
    for answer in answers:
        if answer.response_id:
            entries = await valkey.call("XRANGE", keys.events(answer.response_id), "-", "+")
            logged = [fields[b"e"] for _, fields in entries]
            received = [event.data for event in answer.events]
            if not logged and forgotten:
                continue
            if logged[: len(received)] != received:
                answer.blame(Fault.WRONG, "the log holds other events")
            elif not answer.left and len(logged) != len(received):
                answer.blame(Fault.WRONG, f"the log holds {len(logged)} events")
