"""history.fifo: applies batches of records to PostgreSQL."""

import asyncio
import os
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.stores import PostgresHistoryStore
from axon.adapters.valkey.caches import ValkeyPendingHistory
from axon.adapters.valkey.client import create_valkey
from axon.exceptions import AxonError
from axon.history import HistoryRecord
from axon.lambdas import Event, run
from axon.settings import WriteHistorySettings

logger = Logger(service="write_history")
TELEMETRY = Telemetry(service="write_history")
SETTINGS = WriteHistorySettings.from_environ(os.environ)
STORE = PostgresHistoryStore(pool=create_pool(SETTINGS, max_size=1))
PENDING = ValkeyPendingHistory(valkey=create_valkey(SETTINGS))

FORGET_TIMEOUT_S = 1.0
"""Longest wait for Valkey, in seconds: what is written is written, with Valkey or without."""


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Write a batch; return the messages that must come again (`batchItemFailures`)."""
    failed = run(_write(event["Records"]))
    TELEMETRY.count("records_written", len(event["Records"]) - len(failed))
    return {"batchItemFailures": [{"itemIdentifier": i} for i in failed]}


async def _write(messages: list[dict[str, Any]]) -> list[str]:
    """Write all at once; if that fails, one by one, so that one wrong record stops no other."""
    records, failed = _parse(messages)
    try:
        await STORE.write(list(records.values()))
    except Exception:
        logger.warning("batch failed, writing one by one", exc_info=True)
        failed += [
            message_id for message_id in records if not await _write_one(records, message_id)
        ]
    await _forget([record.response_id for name, record in records.items() if name not in failed])
    return failed


async def _forget(response_ids: list[str]) -> None:
    """Note that these records are no longer on their way; the note expires if this fails."""
    try:
        async with asyncio.timeout(FORGET_TIMEOUT_S):
            await PENDING.remove(response_ids)
    except (TimeoutError, AxonError) as error:
        logger.warning("could not note that records have arrived: %s", error)


async def _write_one(records: dict[str, HistoryRecord], message_id: str) -> bool:
    try:
        await STORE.write([records[message_id]])
    except AxonError:
        return False
    except Exception:
        logger.exception("record refused", extra={"response_id": records[message_id].response_id})
        return False
    return True


def _parse(messages: list[dict[str, Any]]) -> tuple[dict[str, HistoryRecord], list[str]]:
    records, failed = {}, []
    for message in messages:
        try:
            records[message["messageId"]] = HistoryRecord.model_validate_json(message["body"])
        except ValidationError:
            logger.exception("not a record", extra={"message_id": message["messageId"]})
            failed.append(message["messageId"])
    return records, failed
