"""Chat Completions and Messages: other APIs over the same cloud, log and slots."""

import json
from typing import Any
from urllib.request import Request, urlopen

import redis
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from axon.adapters.valkey import keys
from tests.e2e.cloud import API_KEY, Cloud
from tests.support.eventually import wait_until


def numbers(count: int) -> str:
    return " ".join(map(str, range(1, count + 1)))


def question(*texts: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text} for text in texts]


def test_chat_completion_streams_two_turns(client: OpenAI) -> None:
    with client.chat.completions.create(
        model="echo",
        messages=question("count to 40"),
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == numbers(40)
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 40)

    # A client of this API sends the whole conversation again.
    messages = question("count to 40")
    messages += [{"role": "assistant", "content": text}, *question("four")]
    answer = client.chat.completions.create(model="echo", messages=messages)
    assert answer.choices[0].message.content == "four"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 40 + 1


def test_chat_completion_frees_its_slot_when_its_client_leaves(
    client: OpenAI, cloud: Cloud
) -> None:
    """This API cannot be resumed, so that nothing is gained by a wait for the client."""
    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    with client.chat.completions.create(
        model="echo", messages=question("count to 20000"), stream=True
    ) as stream:
        chunk = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    response_id = chunk.id.replace("chatcmpl-", "resp_")
    with redis.Redis.from_url(endpoints["valkey_url"]) as valkey:
        # It would run for 20 s more, and the resume window is longer still.
        wait_until(lambda: valkey.zscore(keys.DEADLINES, response_id) is None, timeout_s=10)
    assert client.responses.retrieve(response_id).status == "cancelled"


def request_of(cloud: Cloud, path: str, body: dict[str, Any]) -> Request:
    """Return a request as Anthropic's SDK sends it."""
    headers = {
        "x-api-key": API_KEY,
        "anthropic-version": "2023-06-01",
        "Content-Type": "application/json",
    }
    return Request(f"{cloud.base_url}/{path}", json.dumps(body).encode(), headers)


def post(cloud: Cloud, path: str, **body: Any) -> Any:
    with urlopen(request_of(cloud, path, body), timeout=20) as answer:
        return json.load(answer)


def messages(cloud: Cloud, **fields: Any) -> list[dict[str, Any]]:
    """Send a request; return the events of its stream without pings."""
    body = {"model": "echo", "max_tokens": 1000, "stream": True, **fields}
    with urlopen(request_of(cloud, "messages", body), timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        blocks = answer.read().decode().split("\n\n")
    lines = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if block]
    events = [json.loads(line["data"]) for line in lines if "data" in line]
    assert [event["type"] for event in events] == [line["event"] for line in lines]
    return [event for event in events if event["type"] != "ping"]


def test_chat_completion_ends_before_its_stop_string(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="echo", messages=question("count to 40"), stop=["no such", "7 8"], store=True
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (numbers(6) + " ", "stop")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    stored = client.responses.retrieve(answer.id.replace("chatcmpl-", "resp_"))
    assert stored.output_text == numbers(6) + " "


def test_message_tells_its_stop_sequence_and_the_tokens_of_its_prompt(cloud: Cloud) -> None:
    events = messages(cloud, messages=question("count to 40"), stop_sequences=["no such", "7 8"])
    assert events[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "7 8"}
    assert events[0]["message"]["usage"]["input_tokens"] == 3


def test_tokens_are_counted_as_an_answer_reads_them(client: OpenAI, cloud: Cloud) -> None:
    first = client.responses.create(model="echo", input="one two", instructions="Be brief.")
    asked: dict[str, Any] = {
        "model": "echo",
        "input": "three four five",
        "previous_response_id": first.id,
        "truncation": "auto",
    }
    counted = client.responses.input_tokens.count(**asked)
    usage = client.responses.create(**asked).usage
    assert usage is not None
    assert counted.input_tokens == usage.input_tokens == 2 + 2 + 3
    body = {"messages": question("one two three"), "system": "Be brief."}
    assert post(cloud, "messages/count_tokens", model="echo", **body) == {"input_tokens": 5}
    assert messages(cloud, **body)[-2]["usage"]["input_tokens"] == 5


def test_message_streams_two_turns(cloud: Cloud) -> None:
    events = messages(cloud, messages=question("count to 40"))
    assert [event["type"] for event in events[:2]] == ["message_start", "content_block_start"]
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == numbers(40)
    kinds = [event["type"] for event in events[-3:]]
    assert kinds == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert events[-2]["usage"]["output_tokens"] == 40

    turns = [*question("count to 40"), {"role": "assistant", "content": text}, *question("four")]
    again = messages(cloud, messages=turns)
    assert (
        "".join(e["delta"]["text"] for e in again if e["type"] == "content_block_delta") == "four"
    )
