"""Inputs that no message carries: from a request through S3 to their row in the database."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import httpx2
import psutil
import psycopg
import pytest
from botocore.config import Config
from openai import APIStatusError, NotFoundError, OpenAI
from psycopg.rows import dict_row
from websockets.sync.client import connect

from local.services.queues import PAYLOADS, REGION
from tests.e2e.cloud import API_KEY, Cloud, running_cloud
from tests.e2e.limited_url import limited
from tests.e2e.test_canary import metrics
from tests.e2e.test_examples import EXAMPLES, run
from tests.e2e.test_http import numbers, streamed, text_of
from tests.support.eventually import wait_until
from worker.attempt.endings import INPUT_LOST

MEGABYTE = 2**20
MAX_BODY_BYTES = 20 * MEGABYTE
WORD_BYTES = 1_000
"""Long words, since the engine counts a token for each, and has a window of 32,768."""
KEY = {"Authorization": f"Bearer {API_KEY}"}
LOST = "axon_inputs_lost_total"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    data: Path = tmp_path_factory.mktemp("large-cloud") / "data"
    environ = {
        "AXON_ECHO_TOKEN_MS": "4",
        "AXON_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "AXON_VISIBILITY_TIMEOUT_S": "3",
    }
    with running_cloud(data, "--engine", "echo", "--ephemeral", environ=environ) as running:
        yield running


@pytest.fixture
def client(cloud: Cloud) -> Iterator[OpenAI]:
    with OpenAI(api_key=API_KEY, base_url=endpoints(cloud)["front_url"], max_retries=0) as openai:
        yield openai


def endpoints(cloud: Cloud) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    return found


class Bucket:
    """The objects of responses, seen from outside."""

    def __init__(self, cloud: Cloud) -> None:
        found = endpoints(cloud)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=found["aws_endpoint"],
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}),
        )

    def keys(self, response_id: str = "") -> list[str]:
        found = self._s3.list_objects_v2(Bucket=PAYLOADS).get("Contents", ())
        return [each["Key"] for each in found if response_id in each["Key"]]

    def content(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=PAYLOADS, Key=key)["Body"].read()

    def remove(self, key: str) -> None:
        self._s3.delete_object(Bucket=PAYLOADS, Key=key)


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> Bucket:
    return Bucket(cloud)


def long_text(size: int) -> str:
    """Return text of distinct words, with characters that JSON escapes and that UTF-8 extends."""
    filling = 'é"\\ü/' * (WORD_BYTES // 8)
    words = (f"{number:08}{filling}" for number in range(size // WORD_BYTES + 1))
    # ASCII at its end: no character is cut.
    return " ".join(words).encode()[:size].decode(errors="ignore")


def messages(*texts: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in texts]


def words(*texts: str) -> int:
    return sum(len(text.split()) for text in texts)


def texts_of(items: Sequence[Any]) -> list[str]:
    return [item.content[0].text for item in items]


def row_of(cloud: Cloud, response_id: str) -> dict[str, Any] | None:
    with psycopg.connect(endpoints(cloud)["postgres_dsn"], row_factory=dict_row) as connection:
        found = connection.execute(
            "SELECT input, status FROM responses WHERE response_id = %s", [response_id]
        )
        return found.fetchone()


@contextmanager
def no_worker(cloud: Cloud) -> Iterator[None]:
    """Keep the worker from reading any job."""
    worker = psutil.Process(cloud.pid("worker-0"))
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def test_large_input_is_answered_given_back_and_continued(
    client: OpenAI, cloud: Cloud, bucket: Bucket
) -> None:
    large = long_text(3 * MEGABYTE)
    events = streamed(client, input=messages(large, "count to 40"))
    assert text_of(events) == numbers(40)
    response_id = events[-1].response.id
    assert texts_of(client.responses.input_items.list(response_id, order="asc").data) == [
        large,
        "count to 40",
    ]
    second = streamed(client, input="count to 3", previous_response_id=response_id)
    assert text_of(second) == numbers(3)
    usage = second[-1].response.usage
    assert usage.input_tokens == words(large, "count to 40", numbers(40), "count to 3")

    # The database has all of it, and the bucket nothing any more.
    wait_until(lambda: not bucket.keys(response_id))
    row = row_of(cloud, response_id)
    assert row is not None
    assert row["status"] == "completed"
    assert [item["content"] for item in row["input"]] == [large, "count to 40"]
    third = streamed(client, input="count to 3", previous_response_id=response_id)
    assert third[-1].response.usage.input_tokens == usage.input_tokens
    assert texts_of(client.responses.input_items.list(response_id, order="asc").data)[0] == large
    client.responses.delete(response_id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response_id)


def test_longest_request_is_answered_over_http_and_in_one_frame(
    client: OpenAI, cloud: Cloud
) -> None:
    large = long_text(33 * MEGABYTE // 2)
    body: dict[str, Any] = {"model": "echo", "input": messages(large, "count to 3")}
    # Its quotes and backslashes are escaped.
    assert 19_000_000 < len(json.dumps(body, ensure_ascii=False).encode()) < MAX_BODY_BYTES
    answer = client.responses.create(**body)
    assert (answer.status, answer.output_text) == ("completed", numbers(3))
    assert answer.usage is not None
    assert answer.usage.input_tokens == words(large, "count to 3")

    url = endpoints(cloud)["front_url"].replace("http", "ws", 1) + "/responses"
    with connect(
        url, additional_headers=KEY, proxy=None, compression=None, max_size=None
    ) as socket:
        frame = json.dumps({"type": "response.create", **body}, ensure_ascii=False)
        socket.send(frame)
        events = [json.loads(socket.recv(timeout=30))]
        while events[-1]["type"] not in ("response.completed", "response.failed", "error"):
            events.append(json.loads(socket.recv(timeout=30)))
    assert "".join(event.get("delta", "") for event in events) == numbers(3)
    assert events[-1]["response"]["usage"]["input_tokens"] == answer.usage.input_tokens


def test_deleted_response_leaves_no_object(client: OpenAI, cloud: Cloud, bucket: Bucket) -> None:
    large = long_text(MEGABYTE)
    with no_worker(cloud):
        stream = client.responses.create(model="echo", input=large, stream=True)
        with stream:
            response_id = next(iter(stream)).response.id  # type: ignore[union-attr]
            (key,) = bucket.keys(response_id)
            assert json.loads(bucket.content(key))[0]["content"] == large
            client.responses.delete(response_id)
            assert list(stream)[-1].response.status == "cancelled"  # type: ignore[union-attr]
        assert bucket.keys(response_id) == []
        with pytest.raises(NotFoundError):
            client.responses.retrieve(response_id)


def lost_inputs(cloud: Cloud) -> float:
    lines = metrics(cloud, "worker-0").splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{LOST} "))


def test_response_fails_whose_object_is_gone_before_a_worker_reads_it(
    client: OpenAI, cloud: Cloud, bucket: Bucket
) -> None:
    before = lost_inputs(cloud)
    with no_worker(cloud):
        large = long_text(MEGABYTE)
        stream = client.responses.create(model="echo", input=large, stream=True)
        events = [next(iter(stream))]
        (key,) = bucket.keys(events[0].response.id)  # type: ignore[union-attr]
        bucket.remove(key)
    with stream:
        events += stream
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert last.response.error.message == INPUT_LOST
    assert lost_inputs(cloud) == before + 1
    # Its record has no input anywhere, and blocks no other.
    assert streamed(client, input="count to 3")[-1].type == "response.completed"


def test_worker_that_is_killed_in_a_large_answer_is_followed_by_another(
    client: OpenAI, cloud: Cloud, bucket: Bucket
) -> None:
    large = long_text(2 * MEGABYTE)
    stream: Any = client.responses.create(
        model="echo", input=messages(large, "count to 600"), stream=True
    )
    events: list[Any] = []
    victim = cloud.pid("worker-0")
    with stream:
        for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta" and victim:
                os.kill(victim, signal.SIGKILL)
                victim = 0
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert text_of(events) == numbers(600)
    response = events[-1].response
    assert response.usage.input_tokens == words(large, "count to 600")
    wait_until(lambda: not bucket.keys(response.id))
    row = row_of(cloud, response.id)
    assert row is not None
    assert row["input"][0]["content"] == large


def begin_upload(cloud: Cloud, body: bytes) -> Any:
    asked = {"bytes": len(body), "sha256": sha256(body).hexdigest()}
    url = f"{endpoints(cloud)['front_url']}/request_bodies"
    return httpx2.post(url, json=asked, headers=KEY).raise_for_status().json()


def put(upload: Any, body: bytes) -> int:
    """Put a body as its upload says; return S3's status."""
    url, headers = upload["url"], upload["headers"]
    return httpx2.put(url, content=body, headers=headers, timeout=30).status_code


def asked_with(cloud: Cloud, path: str, body: bytes) -> Any:
    """Upload the body of a request, then send the request; return its answer."""
    made = begin_upload(cloud, body)
    assert put(made["upload"], body) == 200
    headers = KEY | {"Axon-Request-Body": made["id"]}
    return httpx2.post(
        f"{endpoints(cloud)['front_url']}/{path}", headers=headers, timeout=30
    ).json()


def test_uploaded_body_is_the_body_of_any_request(cloud: Cloud, client: OpenAI) -> None:
    large = long_text(7 * MEGABYTE)
    asked = {"model": "echo", "input": messages(large, "count to 3")}
    answer = asked_with(cloud, "responses", json.dumps(asked).encode())
    assert answer["output"][0]["content"][0]["text"] == numbers(3)
    assert answer["usage"]["input_tokens"] == words(large, "count to 3")
    assert texts_of(client.responses.input_items.list(answer["id"]).data)[-1] == large

    chat = {"model": "echo", "messages": messages(large, "count to 4")}
    completed = asked_with(cloud, "chat/completions", json.dumps(chat).encode())
    assert completed["choices"][0]["message"]["content"] == numbers(4)
    assert completed["usage"]["prompt_tokens"] == words(large, "count to 4")


def test_example_asks_a_function_url_about_a_long_file(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    # Below the limit of 6 MB as it is, and above it once its quotes are escaped twice.
    file.write_text(long_text(9 * MEGABYTE // 2))
    program = str(EXAMPLES / "upload_first.py")
    with limited(endpoints(cloud)["front_url"]) as (base_url, statuses):
        plain = OpenAI(api_key=API_KEY, base_url=base_url, max_retries=0)
        with plain, pytest.raises(APIStatusError) as refused:
            plain.responses.create(model="echo", input=file.read_text())
        assert (refused.value.status_code, statuses) == (413, [413])
        behind = replace(cloud, base_url=base_url)
        assert run(behind, sys.executable, program, str(file), "count to 3") == f"{numbers(3)}\n"
        assert statuses[1:] == [200, 200]  # a URL, then the answer


def test_upload_takes_its_own_bytes_at_its_own_place_alone(cloud: Cloud) -> None:
    body = json.dumps({"model": "echo", "input": "count to 3"}).encode()
    made = begin_upload(cloud, body)
    assert put(made["upload"], body.replace(b"3", b"4")) == 400
    digest = made["sha256"]
    elsewhere = made["upload"]["url"].replace(digest, digest[::-1])
    assert put(made["upload"] | {"url": elsewhere}, body) == 403
    headers = KEY | {"Axon-Request-Body": made["id"]}
    refused = httpx2.post(f"{endpoints(cloud)['front_url']}/responses", headers=headers)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "request_body_not_found"


def test_large_conversation_is_listed_continued_and_compacted(client: OpenAI) -> None:
    large = long_text(2 * MEGABYTE)
    conversation = client.conversations.create().id
    first = client.responses.create(
        model="echo", input=messages(large, "count to 3"), conversation=conversation
    )
    second = client.responses.create(model="echo", input="four five", conversation=conversation)
    assert second.usage is not None
    assert second.usage.input_tokens == words(large, "count to 3", numbers(3), "four five")
    items = client.conversations.items.list(conversation, order="asc").data
    assert texts_of(items) == [large, "count to 3", numbers(3), "four five", "four five"]

    # Not with the SDK's own method: its types take a user's message for an answer's.
    asked = {"model": "echo", "previous_response_id": first.id}
    compacted: Any = client.post("/responses/compact", cast_to=object, body=asked)
    *kept, _summary = compacted["output"]
    assert [item["content"][0]["text"] for item in kept] == [large, "count to 3"]
    following = client.responses.create(
        model="echo", input=[*compacted["output"], *messages("count to 4")]
    )
    assert following.output_text == numbers(4)
    assert following.usage is not None
    assert following.usage.input_tokens > words(large, "count to 3", "count to 4")
