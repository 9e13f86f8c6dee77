"""The function that splits what CloudWatch Logs sends into a document an event."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from infra.handlers import split_logs
from infra.handlers.split_logs import UndeliveredError, documents, forward

STREAM = "axon-test-logs"


class FakeFirehose:
    """Takes records, but refuses those at the positions in `refusals`: a set for each call."""

    def __init__(self, *refusals: set[int]) -> None:
        self.calls: list[list[bytes]] = []
        self._refusals = list(refusals)
        self.taken: list[dict[str, Any]] = []

    def put_record_batch(
        self,
        *,
        DeliveryStreamName: str,  # noqa: N803
        Records: Sequence[Mapping[str, bytes]],  # noqa: N803
    ) -> Mapping[str, Any]:
        assert DeliveryStreamName == STREAM
        refused = self._refusals.pop(0) if self._refusals else set()
        self.calls.append([record["Data"] for record in Records])
        results: list[dict[str, str]] = []
        for position, record in enumerate(Records):
            if position in refused:
                results.append({"ErrorCode": "ServiceUnavailableException"})
            else:
                results.append({"RecordId": str(position)})
                self.taken.append(json.loads(record["Data"]))
        return {"FailedPutCount": len(refused), "RequestResponses": results}


def batch(*messages: str, kind: str = "DATA_MESSAGE") -> dict[str, Any]:
    return {
        "messageType": kind,
        "logGroup": "/axon/test/relay",
        "logStream": "relay/relay/1",
        "logEvents": [
            {"id": str(number), "timestamp": 1_700_000_000_123 + number, "message": message}
            for number, message in enumerate(messages)
        ],
    }


def event(content: Mapping[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    return {"awslogs": {"data": data}}


def messages(firehose: FakeFirehose) -> list[str]:
    return [document["message"] for document in firehose.taken]


def test_split_logs_makes_a_record_of_each_event() -> None:
    firehose = FakeFirehose()
    forward(event(batch("one", "two")), firehose=firehose, stream=STREAM)
    (call,) = firehose.calls
    assert len(call) == 2
    assert not any(b"\n" in record for record in call)
    assert messages(firehose) == ["one", "two"]


def test_split_logs_document_has_time_and_origin() -> None:
    (document,) = documents(batch("started"))
    assert document == {
        "@timestamp": "2023-11-14T22:13:20.123+00:00",
        "log_group": "/axon/test/relay",
        "log_stream": "relay/relay/1",
        "message": "started",
        "fields": {},
    }


def test_split_logs_turns_top_level_json_into_text_fields() -> None:
    message = json.dumps(
        {"level": "INFO", "count": 3, "ok": True, "nested": {"a": 1}, "list": [1], "none": None}
    )
    (document,) = documents(batch(message))
    assert document["fields"] == {"level": "INFO", "count": "3", "ok": "True"}
    assert document["message"] == message


@pytest.mark.parametrize("message", ["[1, 2]", '"text"', "3", "{", "", "null"])
def test_split_logs_gives_other_messages_no_fields(message: str) -> None:
    (document,) = documents(batch(message))
    assert document["fields"] == {}


def test_split_logs_cuts_long_messages_and_fields_to_the_limits_of_firehose() -> None:
    message = json.dumps({"text": "\U0001f600" * 200_000}, ensure_ascii=False)
    firehose = FakeFirehose()
    forward(event(batch(message)), firehose=firehose, stream=STREAM)
    ((record,),) = firehose.calls
    assert len(record) <= 1000 * 1024
    assert len(firehose.taken[0]["fields"]["text"]) == split_logs.MAX_FIELD


def test_split_logs_ignores_control_messages() -> None:
    firehose = FakeFirehose()
    forward(event(batch("hello", kind="CONTROL_MESSAGE")), firehose=firehose, stream=STREAM)
    assert firehose.calls == []


def test_split_logs_sends_at_most_the_records_that_firehose_takes() -> None:
    firehose = FakeFirehose()
    wanted = [str(number) for number in range(1201)]
    forward(event(batch(*wanted)), firehose=firehose, stream=STREAM)
    assert [len(call) for call in firehose.calls] == [500, 500, 201]
    assert messages(firehose) == wanted


def test_split_logs_sends_at_most_the_bytes_that_firehose_takes() -> None:
    firehose = FakeFirehose()
    forward(event(batch(*["x" * split_logs.MAX_MESSAGE] * 100)), firehose=firehose, stream=STREAM)
    assert len(firehose.calls) > 1
    assert all(sum(map(len, call)) <= 4 * 1024 * 1024 for call in firehose.calls)
    assert len(firehose.taken) == 100


def test_split_logs_resends_only_refused_records() -> None:
    firehose = FakeFirehose({0, 2}, {1})
    forward(event(batch("a", "b", "c")), firehose=firehose, stream=STREAM)
    assert [len(call) for call in firehose.calls] == [3, 2, 1]
    assert sorted(messages(firehose)) == ["a", "b", "c"]


def test_split_logs_fails_when_records_stay_refused() -> None:
    firehose = FakeFirehose({0}, {0}, {0})
    with pytest.raises(UndeliveredError, match="1 log events"):
        forward(event(batch("a")), firehose=firehose, stream=STREAM)
    assert len(firehose.calls) == split_logs.ATTEMPTS
