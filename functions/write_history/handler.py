"""history.fifo: applies batches of records to PostgreSQL."""

import asyncio
import os
from typing import Any

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsParking
from axon.adapters.composition import event_log, payload_store, sqs_api
from axon.adapters.observability.function_logs import function_logger
from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.stores import PostgresHistoryStore
from axon.adapters.valkey.caches import ValkeyPendingHistory
from axon.adapters.valkey.client import create_valkey
from axon.exceptions import AxonError
from axon.formats import UnreadableError
from axon.history import HistoryRecord, response_id_of
from axon.inputs import LargeInputs
from axon.lambdas import Event, run
from axon.large_records import LargeRecords
from axon.settings import WriteHistorySettings

logger = function_logger("write_history")
TELEMETRY = Telemetry(service="write_history")
SETTINGS = WriteHistorySettings.from_environ(os.environ)
STORE = PostgresHistoryStore(pool=create_pool(SETTINGS, max_size=1))
VALKEY = create_valkey(SETTINGS)
PENDING = ValkeyPendingHistory(valkey=VALKEY)
LARGE = LargeRecords(
    store=STORE,
    inputs=LargeInputs(store=payload_store(SETTINGS)),
    log=event_log(SETTINGS, valkey=VALKEY),
)
PARKING = SqsParking(api=sqs_api(SETTINGS.dead_letter_queue_url, region=SETTINGS.aws_region))
UNGROUPED = "unreadable"
"""Message group of dead letters whose message names none."""
LARGE_S = 20.0
"""Seconds within which the writing of a record with a large input may begin: to read an input takes
27 s at most, to wait for its response's end 2 s and to delete it 2 s. The function has 60 s."""
FORGET_TIMEOUT_S = 1.0
"""Longest wait for Valkey, in seconds: what is written is written, with Valkey or without."""


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Write a batch; return the messages that must come again (`batchItemFailures`)."""
    written, failed = run(_write(event["Records"]))
    TELEMETRY.count("records_written", written)
    return {"batchItemFailures": [{"itemIdentifier": i} for i in failed]}


async def _write(messages: list[Event]) -> tuple[int, list[str]]:
    """Write all at once; if that fails, one by one, so that one wrong record stops no other.

    Return how many records are written, and the ids of messages that must come again. Records with
    a large input come one by one in any case, after the others.
    """
    records, failed = await _parse(messages)
    small = [(message, record) for message, record in records if record.input_payload is None]
    try:
        await STORE.write([record for _, record in small])
    except Exception:
        logger.warning("batch failed, writing one by one", exc_info=True)
        failed += [
            message["messageId"]
            for message, record in small
            if not await _write_one(message, record)
        ]
    failed += await _write_large([each for each in records if each[1].input_payload])
    written = [
        record.response_id for message, record in records if message["messageId"] not in failed
    ]
    await _forget(written)
    return len(written), failed


async def _parse(messages: list[Event]) -> tuple[list[tuple[Event, HistoryRecord]], list[str]]:
    """Return the records with their messages, and the ids of messages that must come again."""
    records, failed = [], []
    for message in messages:
        try:
            records.append((message, HistoryRecord.decode(message["body"])))
        except UnreadableError as error:
            named = response_id_of(message["body"])
            if not await _set_aside(message, error, response_id=named):
                failed.append(message["messageId"])
    return records, failed


async def _forget(response_ids: list[str]) -> None:
    """Note that these records are no longer on their way.

    If this fails, the first reader that finds the row in the database removes the note.
    """
    try:
        async with asyncio.timeout(FORGET_TIMEOUT_S):
            await PENDING.remove(response_ids)
    except (TimeoutError, AxonError) as error:
        logger.warning("could not note that records are no longer on their way: %s", error)


async def _write_large(records: list[tuple[Event, HistoryRecord]]) -> list[str]:
    """Write records whose input is a payload; return the messages that must come again."""
    failed = []
    until = asyncio.get_running_loop().time() + LARGE_S
    for message, record in records:
        late = asyncio.get_running_loop().time() >= until
        if late or not await _write_one(message, record):
            failed.append(message["messageId"])
    return failed


async def _write_one(message: Event, record: HistoryRecord) -> bool:
    try:
        await (LARGE.write(record) if record.input_payload else STORE.write([record]))
    except UnreadableError as error:
        return await _set_aside(message, error, response_id=record.response_id)
    except AxonError:
        return False
    except Exception:
        logger.exception("record not written", extra={"response_id": record.response_id})
        return False
    return True


async def _set_aside(
    message: Event, error: UnreadableError, *, response_id: str | None = None
) -> bool:
    """Move a record that can never be written to the dead letters; return whether that worked.

    Returned to its queue, it would block its conversation until its receives are used up, which
    takes an hour. A newer version, or the operator, redrives it.
    """
    attributes = message["attributes"]
    dead_letter = ParkedDeadLetter(
        message_id=message["messageId"],
        body=message["body"],
        why=f"not a record: {error.reason}",
        attempts=int(attributes["ApproximateReceiveCount"]),
        response_id=response_id,
        group_id=attributes.get("MessageGroupId", UNGROUPED),
    )
    try:
        await PARKING.park(dead_letter)
    except AxonError:
        logger.exception("record not set aside", extra={"message_id": message["messageId"]})
        return False
    if response_id is not None:
        # Until an operator redrives it, waiting is of no use to a client that continues it.
        await _forget([response_id])
    logger.error("record set aside: %s", error, extra={"message_id": message["messageId"]})
    TELEMETRY.count("unreadable", format=error.format.value)
    return True
