"""The bytes of a one-message response, as clients have always got them."""

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript

ID = "0" * 31 + "1"
RESPONSE = f'"id":"resp_{ID}"'
MESSAGE = f'"id":"msg_{ID}","type":"message"'
PLACE = f'"item_id":"msg_{ID}","output_index":0,"content_index":0'
TEXT = '{"type":"output_text","text":"Hi é","annotations":[],"logprobs":[]}'
ITEM = f'{{{MESSAGE},"status":"completed","role":"assistant","content":[{TEXT}]}}'
USAGE = (
    '{"input_tokens":1,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},'
    '"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":4}'
)
COMPLETED = [
    (
        f'{{"type":"response.created","sequence_number":0,"response":{{{RESPONSE},"status":"queued",'
        '"output":[]},"stream_id":"s"}'
    ),
    (
        f'{{"type":"response.in_progress","sequence_number":1,"response":{{{RESPONSE},'
        '"status":"in_progress","output":[]},"stream_id":"s"}'
    ),
    (
        '{"type":"response.output_item.added","sequence_number":2,"output_index":0,'
        f'"item":{{{MESSAGE},"status":"in_progress","role":"assistant","content":[]}},"stream_id":"s"}}'
    ),
    (
        f'{{"type":"response.content_part.added","sequence_number":3,{PLACE},'
        '"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]},"stream_id":"s"}'
    ),
    (
        f'{{"type":"response.output_text.delta","sequence_number":4,{PLACE},"delta":"Hi",'
        '"logprobs":[],"stream_id":"s"}'
    ),
    (
        f'{{"type":"response.output_text.delta","sequence_number":5,{PLACE},"delta":" é",'
        '"logprobs":[],"stream_id":"s"}'
    ),
    (
        f'{{"type":"response.output_text.done","sequence_number":6,{PLACE},"text":"Hi é",'
        '"logprobs":[],"stream_id":"s"}'
    ),
    (
        f'{{"type":"response.content_part.done","sequence_number":7,{PLACE},"part":{TEXT},'
        '"stream_id":"s"}'
    ),
    (
        '{"type":"response.output_item.done","sequence_number":8,"output_index":0,'
        f'"item":{ITEM},"stream_id":"s"}}'
    ),
    (
        f'{{"type":"response.completed","sequence_number":9,"response":{{{RESPONSE},'
        f'"status":"completed","output":[{ITEM}],"completed_at":1700000009,"usage":{USAGE},'
        '"error":null,"incomplete_details":null},"stream_id":"s"}'
    ),
]
FAILED = (
    f'{{"type":"response.failed","sequence_number":5,"response":{{{RESPONSE},"status":"failed",'
    f'"output":[{{{MESSAGE},"status":"incomplete","role":"assistant","content":[{{"type":'
    '"output_text","text":"Hi","annotations":[],"logprobs":[]}]}],"completed_at":null,'
    '"usage":null,"error":{"code":"c"},"incomplete_details":null},"stream_id":"s"}'
)


@pytest.fixture
def transcript(monkeypatch: pytest.MonkeyPatch) -> Transcript:
    monkeypatch.setattr("axon.protocol.transcript.time.time", lambda: 1_700_000_009.7)
    response = {"id": f"resp_{ID}", "status": "queued", "output": []}
    return Transcript(response, stream_id="s")


def test_transcript_gives_the_bytes_of_a_completed_message(transcript: Transcript) -> None:
    events = [transcript.created(), transcript.in_progress()]
    events += transcript.delta("Hi", [1])
    events += transcript.delta("", [2])
    events += transcript.delta(" é", [3])
    events += transcript.close_message()
    events.append(transcript.end(Status.COMPLETED, usage=Usage(1, 3)))
    token_ids: list[tuple[int, ...]] = [(), (), (), (), (1,), (2, 3), (), (), (), ()]
    assert events == [
        LoggedEvent(number, data.encode(), token_ids[number])
        for number, data in enumerate(COMPLETED)
    ]


def test_transcript_gives_the_bytes_of_a_failed_message(transcript: Transcript) -> None:
    events = [transcript.created(), transcript.in_progress(), *transcript.delta("Hi", [1])]
    failed = transcript.end(Status.FAILED, error={"code": "c"})
    assert [event.data.decode() for event in events] == COMPLETED[:5]
    assert failed == LoggedEvent(5, FAILED.encode())
