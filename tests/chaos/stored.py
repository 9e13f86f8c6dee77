"""The content of PostgreSQL and of the event logs, as records of a history."""

import time
from collections.abc import AsyncIterator, Iterable

import psycopg
from psycopg.rows import dict_row

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from tests.chaos.history import Op, Record

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
    IS DISTINCT FROM (
        coalesce(counted.responses, 0), coalesce(counted.input_tokens, 0),
        coalesce(counted.output_tokens, 0)
    )
"""


async def database(dsn: str) -> AsyncIterator[Record]:
    """Return the rows of responses, and the conversations whose counters are wrong."""
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        async for row in await connection.execute(_RESPONSES):
            yield Record(op=Op.ROW, at=time.time(), data={"row": row})
        async for row in await connection.execute(_MISCOUNTED):
            yield Record(op=Op.MISCOUNTED, at=time.time(), data=row)


async def logs(valkey: Valkey, response_ids: Iterable[str]) -> AsyncIterator[Record]:
    """Return the events of each response's log; none where there is no log."""
    for response_id in response_ids:
        entries = await valkey.call("XRANGE", keys.events(response_id), "-", "+")
        events = [fields[b"e"].decode() for _, fields in entries]
        data = {"response_id": response_id, "events": events}
        yield Record(op=Op.LOG, at=time.time(), data=data)
