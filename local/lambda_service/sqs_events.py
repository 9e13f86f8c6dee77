"""Makes a function's event of SQS messages, and reads from its answer which have succeeded."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]


def batch_event(messages: Iterable[Message], *, queue_arn: str, region: str) -> dict[str, Any]:
    """Return the event for messages of one ReceiveMessage, in their order."""
    return {"Records": [_record(message, queue_arn, region) for message in messages]}


def _record(message: Message, queue_arn: str, region: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes") or {}),
        "messageAttributes": {
            name: _attribute(value)
            for name, value in (message.get("MessageAttributes") or {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if message.get("MD5OfMessageAttributes"):
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if value.get("StringValue") is not None:
        attribute["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        attribute["binaryValue"] = _base64(value["BinaryValue"])
    return attribute


def _base64(value: str) -> str:
    """Return a blob of SQS's JSON protocol, which is base64 already, in canonical base64."""
    try:
        return base64.b64encode(base64.b64decode(value, validate=True)).decode()
    except binascii.Error:
        return base64.b64encode(value.encode()).decode()


def succeeded(messages: Sequence[Message], answer: bytes, *, partial: bool) -> list[Message]:
    """Return the messages that may be deleted from the queue.

    Parameters
    ----------
    messages : Sequence[Message]
        The batch that the function was invoked with.
    answer : bytes
        What the function returned, as JSON.
    partial : bool
        Read `batchItemFailures` (ReportBatchItemFailures): the messages it names are not deleted,
        and none is if the answer is malformed or names a message of another batch. Without it
        all are deleted.
    """
    if not partial:
        return list(messages)
    failures = _failures(answer)
    if failures is None or not failures <= {message["MessageId"] for message in messages}:
        return []
    return [message for message in messages if message["MessageId"] not in failures]


def _failures(answer: bytes) -> set[str] | None:
    try:
        response = json.loads(answer or b"null")
    except ValueError:
        return None
    if response is None:
        return set()
    if not isinstance(response, dict):
        return None
    entries = response.get("batchItemFailures")
    if entries is None:
        return set()
    if not isinstance(entries, list):
        return None
    return _identifiers(entries)


def _identifiers(entries: Iterable[Any]) -> set[str] | None:
    identifiers = set()
    for entry in entries:
        identifier = entry.get("itemIdentifier") if isinstance(entry, dict) else None
        if not (isinstance(identifier, str) and identifier):
            return None
        identifiers.add(identifier)
    return identifiers
