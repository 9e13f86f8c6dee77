from dataclasses import replace

import pytest

from axon.formats import UnreadableError
from axon.jobs import Job, ReceivedJob
from axon.serialization import loads
from tests.support.principals import a_principal
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT, a_job


def test_job_is_equal_after_decoding() -> None:
    job = a_job(input="wörld 🌍\x00\uffff", stream_id="stream-7", temperature=0.5)
    assert Job.decode(job.encode()) == job
    assert Job.decode(job.encode().decode()) == job


@pytest.mark.parametrize("trace_header", [None, "Root=1-1-1;Sampled=1"])
def test_received_job_is_equal_after_decoding_except_forwarded(trace_header: str | None) -> None:
    received = ReceivedJob(
        body=a_job(input="wörld 🌍\x00\uffff").encode().decode(),
        receipt_handle="receipt",
        receive_count=2,
        message_id="message",
        trace_header=trace_header,
    )
    for sent in (received, replace(received, forwarded=True)):
        assert ReceivedJob.decode(sent.encode()) == replace(received, forwarded=True)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"body": 1, "receipt_handle": "", "receive_count": 1}']
)
def test_received_job_refuses_other_data(data: bytes) -> None:
    with pytest.raises(ValueError, match="no readable handed_over_job"):
        ReceivedJob.decode(data)


def test_job_has_what_an_answer_needs() -> None:
    job = a_job(previous_response_id="resp_0", store=False)
    assert job.response_id == job.response["id"]
    assert job.model == MODEL
    assert job.previous_response_id == "resp_0"
    assert not job.stored
    assert (job.tenant_id, job.connection_id) == (TENANT, CONNECTION)


def test_job_has_a_string_input_as_one_user_message() -> None:
    assert a_job(input="hello").input == [{"type": "message", "role": "user", "content": "hello"}]


def test_job_keeps_input_items_unchanged() -> None:
    content = [{"type": "input_text", "text": "hi", "extra": 1}]
    job = a_job(input=[{"role": "user", "content": content, "id": "msg_1"}])
    assert job.input == [{"type": "message", "role": "user", "content": content, "id": "msg_1"}]


def test_job_keeps_only_the_sampling_that_the_client_set() -> None:
    assert a_job().sampling == {}
    job = a_job(temperature=0, top_p=0.5, presence_penalty=1, frequency_penalty=-1)
    assert job.sampling == {
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 1,
        "frequency_penalty": -1,
    }


@pytest.mark.parametrize(
    ("asked", "served", "priority"),
    [
        (None, "default", 0),
        ("auto", "default", 0),
        ("default", "default", 0),
        ("scale", "default", 0),
        ("flex", "flex", -1),
        ("priority", "priority", 1),
        ("fast", "priority", 1),
    ],
)
def test_job_priority_follows_the_service_tier(
    asked: str | None, served: str, priority: int
) -> None:
    job = a_job(service_tier=asked)
    assert (job.response["service_tier"], job.priority) == (served, priority)
    assert Job.decode(job.encode()).priority == priority


def test_job_from_before_priorities_has_the_default() -> None:
    body = a_job(service_tier="priority").model_dump(exclude={"priority"})
    assert Job.model_validate(body).priority == 0


def test_job_is_unchanged_by_its_transcript() -> None:
    job = a_job(stream_id="stream-7")
    transcript = job.transcript()
    transcript.created()
    assert loads(transcript.in_progress().data)["stream_id"] == "stream-7"
    transcript.delta("text", [1])
    transcript.close_message()
    assert job.response["status"] == "queued"
    assert job.response["output"] == []


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"tenant_id": 5}', "poison"])
def test_job_refuses_other_data(body: str) -> None:
    with pytest.raises(UnreadableError):
        Job.decode(body)


def test_job_carries_its_principal() -> None:
    principal = a_principal(TENANT, key_id="key_7", scopes=frozenset({"responses:write"}))
    job = a_job(principal=principal)
    assert Job.decode(job.encode()).principal == principal


def test_job_from_before_principals_was_allowed_everything() -> None:
    body = a_job().model_dump(exclude={"key_id", "scopes"})
    assert Job.model_validate(body).principal == a_principal(TENANT, key_id="")


def test_job_is_readable_by_the_version_before_principals() -> None:
    body = loads(a_job(principal=a_principal("acme")).encode())
    assert body["tenant_id"] == "acme"


def test_job_has_the_same_bytes_in_every_process() -> None:
    body = loads(a_job().encode())
    assert body["scopes"] == ["responses:read", "responses:write"]
