"""Splits the batches of events that CloudWatch Logs sends into one document an event.

A Firehose record becomes one document in OpenSearch, so events must not share a record.
"""

import base64
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

MAX_RECORDS = 500
MAX_BYTES = 4 * 1024 * 1024
# A Firehose record has at most 1,000 KiB (AWS quota); JSON may need 12 bytes for a character.
MAX_MESSAGE = 80_000
MAX_FIELD = 1_000
ATTEMPTS = 3


class Firehose(Protocol):
    """The method of boto3's client that is used here."""

    def put_record_batch(
        self,
        *,
        DeliveryStreamName: str,  # noqa: N803
        Records: Sequence[Mapping[str, bytes]],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Put at most 500 records, 4 MiB together; the reply has a result for each record."""


class UndeliveredError(Exception):
    """Firehose did not accept all records; Lambda then invokes the function again."""


def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001
    """Forward a batch: Lambda's entry point."""
    forward(event, firehose=_client(), stream=os.environ["AXON_LOG_STREAM"])


@cache
def _client() -> Firehose:
    import boto3

    client: Firehose = boto3.client("firehose")
    return client


def forward(event: Mapping[str, Any], *, firehose: Firehose, stream: str) -> None:
    """Put each log event of `event` on `stream`.

    Raises
    ------
    UndeliveredError
        Firehose refused some in every attempt.
    """
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if batch["messageType"] != "DATA_MESSAGE":
        return
    for records in _batches(documents(batch)):
        _put(records, firehose=firehose, stream=stream)


def documents(batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a document for each log event; top-level values of a JSON message become `fields`."""
    for event in batch["logEvents"]:
        moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        yield {
            "@timestamp": moment.isoformat(timespec="milliseconds"),
            "log_group": batch["logGroup"],
            "log_stream": batch["logStream"],
            "message": event["message"][:MAX_MESSAGE],
            "fields": _fields(event["message"]),
        }


def _fields(message: str) -> dict[str, str]:
    try:
        parsed = json.loads(message)
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    # All become strings: OpenSearch refuses a field that is a number in one document and a text in
    # another.
    return {
        name: str(value)[:MAX_FIELD]
        for name, value in parsed.items()
        if isinstance(value, str | int | float)
    }


def _batches(documents: Iterator[dict[str, Any]]) -> Iterator[list[bytes]]:
    records: list[bytes] = []
    size = 0
    for document in documents:
        record = json.dumps(document).encode()
        if records and (len(records) == MAX_RECORDS or size + len(record) > MAX_BYTES):
            yield records
            records, size = [], 0
        records.append(record)
        size += len(record)
    if records:
        yield records


def _put(records: list[bytes], *, firehose: Firehose, stream: str) -> None:
    for _ in range(ATTEMPTS):
        reply = firehose.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": record} for record in records]
        )
        results = reply["RequestResponses"]
        records = [
            record for record, result in zip(records, results, strict=True) if "ErrorCode" in result
        ]
        if not records:
            return
    raise UndeliveredError(f"{len(records)} log events were not taken by {stream}")
