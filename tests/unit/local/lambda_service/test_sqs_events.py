import json
from typing import Any

import pytest

from local.lambda_service.sqs_events import batch_event, succeeded

MESSAGES = [{"MessageId": name} for name in ("a", "b", "c")]


def kept(answer: Any, *, partial: bool = True) -> list[str]:
    """Return the ids of the messages that stay in the queue."""
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    done = succeeded(MESSAGES, content, partial=partial)
    return [message["MessageId"] for message in MESSAGES if message not in done]


@pytest.mark.parametrize(
    "answer",
    [None, b"", {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"other": 1}],
)
def test_succeeded_is_all_messages_after_complete_success(answer: Any) -> None:
    assert kept(answer) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        "text",
        [],
        {"batchItemFailures": "a"},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": 1}]},
        {"batchItemFailures": [{"item": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}]},
    ],
)
def test_succeeded_is_no_message_after_complete_failure(answer: Any) -> None:
    assert kept(answer) == ["a", "b", "c"]


def test_succeeded_leaves_out_the_failed_messages() -> None:
    failures = [{"itemIdentifier": "c"}, {"itemIdentifier": "a"}, {"itemIdentifier": "a"}]
    assert kept({"batchItemFailures": failures}) == ["a", "c"]


def test_succeeded_without_reports_is_all_messages() -> None:
    assert kept({"batchItemFailures": [{"itemIdentifier": "a"}]}, partial=False) == []


def test_batch_event_takes_a_minimal_message() -> None:
    message = {"MessageId": "a", "ReceiptHandle": "b", "Body": "c", "MD5OfBody": "d"}
    event = batch_event([message], queue_arn="arn", region="eu-west-1")
    assert event == {
        "Records": [
            {
                "messageId": "a",
                "receiptHandle": "b",
                "body": "c",
                "attributes": {},
                "messageAttributes": {},
                "md5OfBody": "d",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn",
                "awsRegion": "eu-west-1",
            }
        ]
    }
