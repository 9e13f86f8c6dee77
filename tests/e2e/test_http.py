"""The unmodified OpenAI SDK over HTTP, on the same base URL as the WebSocket."""

import http.client
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import AuthenticationError, NotFoundError, OpenAI, Stream

from tests.e2e.cloud import API_KEY, Cloud


def numbers(count: int) -> str:
    return " ".join(map(str, range(1, count + 1)))


def text_of(events: Iterable[Any]) -> str:
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def streamed(client: OpenAI, **request: Any) -> list[Any]:
    """Return the events of a streamed answer, whose numbers are gapless."""
    with client.responses.create(model="echo", stream=True, **request) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def test_http_streams_a_conversation_of_two_turns(client: OpenAI) -> None:
    first = streamed(client, input="count to 40")
    assert text_of(first) == numbers(40)
    assert [event.type for event in first[:2]] == ["response.created", "response.in_progress"]
    ended = first[-1]
    assert (ended.type, ended.response.output_text) == ("response.completed", numbers(40))
    second = streamed(client, input="four", previous_response_id=ended.response.id)
    assert text_of(second) == "four"
    # The prompt holds both turns.
    assert second[-1].response.usage.input_tokens == 3 + 40 + 1


def test_http_answers_with_json_that_can_be_retrieved_and_deleted(client: OpenAI) -> None:
    answer = client.responses.create(model="echo", input="alpha beta", metadata={"a": "b"})
    assert (answer.status, answer.output_text) == ("completed", "alpha beta")
    found = client.responses.retrieve(answer.id)
    assert (found.output_text, found.metadata) == ("alpha beta", {"a": "b"})
    (item,) = client.responses.input_items.list(answer.id)
    assert item.to_dict()["content"][0]["text"] == "alpha beta"  # type: ignore[index]
    client.responses.delete(answer.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(answer.id)


def test_http_continues_what_began_over_the_websocket(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        connection.response.create(model="echo", input="one two")
        first = next(event for event in connection if event.type == "response.completed")
    second = client.responses.create(
        model="echo", input="three", previous_response_id=first.response.id
    )
    assert second.usage is not None
    assert second.usage.input_tokens == 2 + 2 + 1


def followed(client: OpenAI, response_id: str, after: int) -> list[str]:
    stream: Stream[Any] = client.responses.retrieve(response_id, stream=True, starting_after=after)
    with stream:
        return [event.to_json() for event in stream]


def test_http_response_is_followed_by_several_readers_from_any_event(client: OpenAI) -> None:
    starts = (-1, 0, 3, 6)
    with client.responses.create(model="echo", input="count to 600", stream=True) as stream:
        # A reader can follow on after an event that was there.
        seen: list[Any] = list(islice(stream, starts[-1] + 1))
        response_id = seen[0].response.id
        with ThreadPoolExecutor(len(starts)) as pool:
            others = [pool.submit(followed, client, response_id, after) for after in starts]
            seen += stream
            expected = [event.to_json() for event in seen]
            for after, other in zip(starts, others, strict=True):
                assert other.result(20) == expected[after + 1 :]
    # It has ended, and is followed again.
    assert followed(client, response_id, 7) == expected[8:]
    assert text_of(seen) == numbers(600)


def test_http_cancel_ends_the_stream_and_frees_the_slot(client: OpenAI) -> None:
    with client.responses.create(model="echo", input="count to 20000", stream=True) as stream:
        for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break
        assert client.responses.cancel(response_id).status == "cancelled"
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "cancelled"
    assert client.responses.retrieve(response_id).status == "cancelled"


def test_http_refusals_are_those_that_sdks_understand(client: OpenAI, cloud: Cloud) -> None:
    assert [model.id for model in client.models.list()] == ["echo"]
    with pytest.raises(NotFoundError, match="gpt-6"):
        client.responses.create(model="gpt-6", input="hello")
    stranger = OpenAI(api_key="sk-wrong", base_url=cloud.base_url, max_retries=0)
    with stranger, pytest.raises(AuthenticationError, match="API key"):
        stranger.responses.create(model="echo", input="hello")


@pytest.mark.parametrize("address", ["base_url", "front_url"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "localhost:9000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
def test_http_refuses_pages_of_other_sites(
    cloud: Cloud, address: str, headers: dict[str, str], status: int
) -> None:
    """A page of another site knows the well-known key, and can point its own name here."""
    url = urlsplit(json.loads((cloud.data / "run" / "endpoints.json").read_text())[address])
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    key = {"Authorization": f"Bearer {API_KEY}"}
    connection.request("GET", f"{url.path}/models", headers=key | headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert answer.status == status
    assert ("error" in body) == (status == 403)
    readable = answer.headers.get("Access-Control-Allow-Origin")
    assert readable == (headers.get("Origin") if status == 200 else None)
