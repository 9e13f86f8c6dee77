"""Chat Completions: another API over the same cloud, log and slots."""

import json

import pytest
import redis
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from axon.adapters.valkey import keys
from tests.e2e.cloud import Cloud
from tests.support.eventually import wait_until

pytestmark = pytest.mark.xdist_group("echo-cloud")


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
