"""Chat Completions as the unmodified SDK asks for them."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from axon.event_log.log import Status
from axon.protocol.objects import Json
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import KEY, FrontHarness

USER: Json = {"role": "user", "content": "hello"}
PATH = "/v1/chat/completions"
FAILED: Json = {"code": "context_length_exceeded", "message": "Too long."}


@pytest.fixture
async def sdk(harness: FrontHarness) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{harness.url}/v1", api_key=KEY, max_retries=0
    ) as client:
        yield client


async def fail(harness: FrontHarness, response_id: str, *pieces: str) -> None:
    attempt = await harness.responses.say(response_id, *pieces)
    end = attempt.transcript.end(Status.FAILED, error=FAILED)
    await attempt.append([end], status=Status.FAILED)


async def test_chat_completion_is_the_whole_answer(
    harness: FrontHarness, sdk: openai.AsyncOpenAI
) -> None:
    asking = asyncio.create_task(
        sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    )
    response_id = await harness.submitted()
    await harness.responses.answer(response_id, "Hel", "lo")
    completion = await asking
    assert completion.id == response_id.replace("resp_", "chatcmpl-")
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello", "stop")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 2


async def test_chat_stream_gives_the_deltas_as_they_come(
    harness: FrontHarness, sdk: openai.AsyncOpenAI
) -> None:
    chunks: list[ChatCompletionChunk] = []

    async def ask() -> None:
        stream = await sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks.extend([chunk async for chunk in stream])

    asking = asyncio.create_task(ask())
    await harness.responses.answer(await harness.submitted(), "Hel", "lo")
    await asking
    *deltas, end, usage = chunks
    assert [chunk.choices[0].delta.content for chunk in deltas] == ["", "Hel", "lo"]
    assert end.choices[0].finish_reason == "stop"
    assert usage.usage is not None
    assert (usage.choices, usage.usage.completion_tokens) == ([], 1)


async def test_chat_stream_is_one_line_of_data_a_chunk(harness: FrontHarness) -> None:
    asking = asyncio.create_task(harness.post(PATH, messages=[USER], stream=True))
    await harness.responses.answer(await harness.submitted(), "a\n\nb")
    answer = await asking
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    *lines, end = (await answer.text()).split("\n\n")
    assert end == ""
    assert lines.pop() == "data: [DONE]"
    assert all(line.startswith('data: {"id":"chatcmpl-') and "\n" not in line for line in lines)


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_answer_that_fails_at_once_has_a_status(
    harness: FrontHarness, stream: bool
) -> None:
    asking = asyncio.create_task(harness.post(PATH, messages=[USER], stream=stream))
    await fail(harness, await harness.submitted())
    assert await harness.error(await asking) == (400, "context_length_exceeded", "messages")


async def test_chat_stream_that_fails_later_ends_with_an_error_for_the_sdk(
    harness: FrontHarness, sdk: openai.AsyncOpenAI
) -> None:
    said: list[str | None] = []

    async def ask() -> None:
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True
        )
        async for chunk in stream:
            said.append(chunk.choices[0].delta.content)

    asking = asyncio.create_task(ask())
    await fail(harness, await harness.submitted(), "Hel")
    with pytest.raises(openai.APIError, match=r"Too long\.") as caught:
        await asking
    assert said == ["", "Hel"]
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


async def test_chat_refusal_names_the_field(harness: FrontHarness, sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], logprobs=True
        )
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "logprobs")
    answer = await harness.post(PATH, messages=[USER], model="unknown")
    assert (await harness.error(answer))[1:] == ("model_not_found", "model")


@pytest.mark.parametrize("pieces", [(), ("Hel",)])
async def test_chat_answer_is_cancelled_when_its_client_leaves(
    harness: FrontHarness, pieces: tuple[str, ...]
) -> None:
    asking = asyncio.create_task(harness.post(PATH, messages=[USER], stream=True))
    response_id = await harness.submitted()
    if pieces:
        await harness.responses.say(response_id, *pieces)
        (await asking).close()
    else:
        asking.cancel()
    await eventually(lambda: not harness.reader.attended)
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.CANCELLED


async def test_chat_answer_with_an_idempotency_key_waits_for_its_client(
    harness: FrontHarness,
) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = {"model": MODEL, "messages": [USER]}
    asking = asyncio.create_task(harness.client.post(PATH, json=body, headers=headers))
    response_id = await harness.submitted()
    asking.cancel()
    await eventually(lambda: not harness.reader.attended)
    asking = asyncio.create_task(harness.client.post(PATH, json=body, headers=headers))
    await eventually(lambda: response_id in harness.reader.attended)
    await harness.responses.answer(response_id, "Hello")
    async with await asking as answer:
        completion = await answer.json()
    assert completion["choices"][0]["message"]["content"] == "Hello"


async def test_completion_of_a_prompt_is_its_answer(
    harness: FrontHarness, sdk: openai.AsyncOpenAI
) -> None:
    whole = asyncio.create_task(sdk.completions.create(model=MODEL, prompt="Once"))
    await harness.responses.answer(await harness.submitted(), "upon")
    assert (await whole).choices[0].text == "upon"

    async def ask() -> list[str]:
        stream = await sdk.completions.create(model=MODEL, prompt="Once", stream=True)
        return [chunk.choices[0].text async for chunk in stream]

    streamed = asyncio.create_task(ask())
    await harness.responses.answer(await harness.submitted(), "up", "on")
    assert await streamed == ["up", "on", ""]
    answer = await harness.post("/v1/completions", prompt="Once", suffix="end")
    assert await harness.error(answer) == (400, "unsupported_parameter", "suffix")


async def submitted(harness: FrontHarness, count: int) -> list[str]:
    """Return the ids of the responses that the next request asks for."""
    await eventually(lambda: harness.responses.jobs._visible.qsize() == count)
    ids = [job.response_id for job in harness.responses.jobs_sent()]
    await eventually(lambda: harness.reader.attended >= set(ids))
    return ids


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_choices_are_responses_of_their_own(harness: FrontHarness, stream: bool) -> None:
    options: Json = {"stream_options": {"include_usage": True}} if stream else {}
    asking = asyncio.create_task(harness.post(PATH, messages=[USER], n=3, stream=stream, **options))
    ids = await submitted(harness, 3)
    for number, response_id in reversed(list(enumerate(ids))):
        await harness.responses.answer(response_id, "Hel", f"lo {number}")
    async with await asking as answer:
        assert answer.status == 200
        text = await answer.text()
    texts = ["", "", ""]
    bodies = [line for line in text.split("\n\n") if line and line != "data: [DONE]"]
    objects = [loads(body.removeprefix("data: ")) for body in bodies]
    assert {each["id"] for each in objects} == {ids[0].replace("resp_", "chatcmpl-")}
    for choice in (choice for each in objects for choice in each["choices"]):
        texts[choice["index"]] += choice.get("message", choice.get("delta")).get("content") or ""
    assert texts == [f"Hello {number}" for number in range(3)]
    usage = objects[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1, 3)


async def test_chat_choices_are_cancelled_together(harness: FrontHarness) -> None:
    """The client leaves, or one of them fails."""
    for leaves in (True, False):
        asking = asyncio.create_task(harness.post(PATH, messages=[USER], n=3))
        first, failing, last = await submitted(harness, 3)
        if leaves:
            asking.cancel()
        else:
            await fail(harness, failing)
            assert (await harness.error(await asking))[:2] == (400, "context_length_exceeded")
        await eventually(lambda: not harness.reader.attended)
        await harness.reader.drain()
        for response_id in (first, last):
            assert await harness.responses.status(response_id) is Status.CANCELLED


async def test_chat_choices_of_a_repeated_request_are_the_same(harness: FrontHarness) -> None:
    body = {"model": MODEL, "messages": [USER], "n": 2}
    asked = asyncio.create_task(
        harness.client.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    )
    for number, response_id in enumerate(await submitted(harness, 2)):
        await harness.responses.answer(response_id, str(number))
    again = await harness.client.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    assert await (await asked).json() == await again.json()
