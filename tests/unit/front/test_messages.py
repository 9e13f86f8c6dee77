"""The Messages API as the unmodified SDK asks for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import StoreFullError
from axon.ids import same_id
from axon.protocol.objects import Json, Usage
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import KEY, MAX_BODY_BYTES, FrontHarness

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

PATH = "/v1/messages"
USER: Json = {"role": "user", "content": "hello"}
QUESTION: Any = {"model": MODEL, "max_tokens": 9, "messages": [USER]}
TOO_LONG: Json = {"code": "context_length_exceeded", "message": "9 > 8."}
BROKEN: Json = {"code": "server_error", "message": "The model failed to answer."}


@pytest.fixture
async def sdk(harness: FrontHarness) -> AsyncIterator["AsyncAnthropic"]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=harness.url, api_key=KEY, max_retries=0) as client:
        yield client


async def post(harness: FrontHarness, **fields: Any) -> Any:
    """Send a request; return its answer, whose body may still be on its way."""
    return await harness.client.post(PATH, json=QUESTION | fields)


async def fail(harness: FrontHarness, response_id: str, *pieces: str, error: Json) -> None:
    attempt = await harness.responses.say(response_id, *pieces)
    end = attempt.transcript.end(Status.FAILED, error=error)
    await attempt.append([end], status=Status.FAILED)


async def test_message_is_the_whole_answer(harness: FrontHarness, sdk: "AsyncAnthropic") -> None:
    asking = asyncio.create_task(sdk.messages.create(**QUESTION))
    response_id = await harness.submitted()
    await harness.responses.answer(response_id, "Hel", "lo")
    message = await asking
    assert message.id == same_id("msg", response_id)
    (block,) = message.content
    assert block.type == "text"
    assert (block.text, message.stop_reason) == ("Hello", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (1, 1)
    assert (message._request_id or "").startswith("req_")


async def test_message_stream_gives_the_deltas_as_they_come(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    said: list[str] = []

    async def ask() -> Json:
        async with sdk.messages.stream(**QUESTION) as stream:
            async for piece in stream.text_stream:
                said.append(piece)
            message = await stream.get_final_message()
        return dict(message.to_dict(exclude_none=True))

    asking = asyncio.create_task(ask())
    response_id = await harness.submitted()
    attempt = await harness.responses.say(response_id, "Hel")
    await eventually(lambda: said == ["Hel"])
    await attempt.append(attempt.transcript.delta("lo", [1]))
    await attempt.complete()
    assert await asking == {
        "id": same_id("msg", response_id),
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }
    assert said == ["Hel", "lo"]


async def answer_with_all_blocks(harness: FrontHarness) -> None:
    """A worker answers the next request with thinking, text and a call."""
    attempt = await harness.responses.say(await harness.submitted())
    transcript = attempt.transcript
    reasoning = transcript.begin_reasoning()
    await attempt.append(transcript.log([*reasoning.add_text("hm"), *reasoning.close()]))
    text = transcript.begin_message()
    await attempt.append(transcript.log([*text.add_text("Let me see."), *text.close()]))
    call = transcript.begin_function_call("look_up", call_id="call_1")
    await attempt.append(transcript.log(call.add_arguments('{"city": "Pa')))
    await attempt.append(transcript.log([*call.add_arguments('ris"}'), *call.close()]))
    await attempt.complete()


async def test_message_stream_is_read_as_the_message_that_comes_at_once(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    question = QUESTION | {
        "max_tokens": 2048,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "look_up", "input_schema": {"type": "object"}}],
    }

    async def stream() -> Json:
        async with sdk.messages.stream(**question) as events:
            message = await events.get_final_message()
        return dict(message.to_dict(exclude_none=True))

    async def at_once() -> Json:
        message = await sdk.messages.create(**question)
        return dict(message.to_dict(exclude_none=True))

    messages = []
    for ask in (stream, at_once):
        asking = asyncio.create_task(ask())
        await answer_with_all_blocks(harness)
        messages.append(await asking)
    assert messages[0]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"city": "Paris"}},
    ]
    assert messages[0] | {"id": ""} == messages[1] | {"id": ""}
    assert messages[0]["stop_reason"] == "tool_use"


async def test_message_stream_is_a_name_and_a_line_of_data_an_event(harness: FrontHarness) -> None:
    asking = asyncio.create_task(post(harness, stream=True))
    await harness.responses.answer(await harness.submitted(), "a\n\nb")
    answer = await asking
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    blocks = (await answer.text()).removesuffix("\n\n").split("\n\n")
    names = []
    for block in blocks:
        name, data = block.split("\n")
        assert name == f"event: {loads(data.removeprefix('data: '))['type']}"
        names.append(name.removeprefix("event: "))
    assert names == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_message_that_fails_at_once_has_a_status(
    harness: FrontHarness, sdk: "AsyncAnthropic", stream: bool
) -> None:
    from anthropic import BadRequestError

    asking = asyncio.create_task(sdk.messages.create(**QUESTION, stream=stream))
    await fail(harness, await harness.submitted(), error=TOO_LONG)
    with pytest.raises(BadRequestError, match=r"prompt is too long: 9 > 8\.") as caught:
        await asking
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8."},
        "request_id": caught.value.request_id,
    }


async def test_message_stream_that_fails_later_ends_with_an_error_for_the_sdk(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    from anthropic import APIStatusError

    said: list[str] = []

    async def ask() -> None:
        async with sdk.messages.stream(**QUESTION) as stream:
            async for piece in stream.text_stream:
                said.append(piece)

    asking = asyncio.create_task(ask())
    await fail(harness, await harness.submitted(), "Hel", error=BROKEN)
    with pytest.raises(APIStatusError, match="The model failed to answer") as caught:
        await asking
    assert said == ["Hel"]
    body: Any = caught.value.body
    assert body["error"]["type"] == "api_error"
    assert body["request_id"] == caught.value.request_id


async def test_message_whose_client_leaves_is_cancelled_at_once(harness: FrontHarness) -> None:
    asking = asyncio.create_task(post(harness, stream=True))
    response_id = await harness.submitted()
    await harness.responses.say(response_id, "Hel")
    answer = await asking
    await answer.content.readany()
    answer.close()
    await eventually(lambda: response_id not in harness.reader.attended)
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.CANCELLED


async def test_message_of_a_client_without_room_is_overloaded(
    harness: FrontHarness, sdk: "AsyncAnthropic", monkeypatch: pytest.MonkeyPatch
) -> None:
    from anthropic import APIStatusError

    async def full(*_: Any, **__: Any) -> str:
        raise StoreFullError("no memory")

    monkeypatch.setattr(harness.context.service, "submit", full)
    with pytest.raises(APIStatusError) as caught:
        await sdk.messages.create(**QUESTION)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (529, "60")
    assert type(caught.value).__name__ == "OverloadedError"


@pytest.mark.parametrize(
    ("fields", "key", "status", "kind"),
    [
        ({"speed": "fast"}, KEY, 400, "invalid_request_error"),
        ({"model": "none"}, KEY, 404, "not_found_error"),
        ({"system": "x" * MAX_BODY_BYTES}, KEY, 413, "request_too_large"),
        ({}, "sk-wrong", 401, "authentication_error"),
    ],
)
async def test_message_that_is_refused_has_the_status_of_its_reason(
    harness: FrontHarness, fields: Json, key: str, status: int, kind: str
) -> None:
    headers = {"Authorization": "", "x-api-key": key}
    async with harness.client.post(PATH, json=QUESTION | fields, headers=headers) as answer:
        body = await answer.json()
    assert (answer.status, body["error"]["type"]) == (status, kind)
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_message_says_which_stop_sequence_has_ended_it(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    question = QUESTION | {"stop_sequences": ["END", "STOP"]}

    async def stream() -> Any:
        async with sdk.messages.stream(**question) as events:
            return await events.get_final_message()

    for ask in (stream, lambda: sdk.messages.create(**question)):
        asking = asyncio.create_task(ask())
        attempt = await harness.responses.say(await harness.submitted(), "Hello ")
        await attempt.append(attempt.transcript.close_message(stop="STOP"))
        await attempt.complete()
        message = await asking
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")
        assert [block.text for block in message.content] == ["Hello "]


async def test_message_start_has_the_tokens_of_the_prompt(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    asking = asyncio.create_task(post(harness, stream=True))
    attempt = await harness.responses.say(await harness.submitted())
    attempt.transcript.early_usage = Usage(input_tokens=9, cached_tokens=7)
    await attempt.append(attempt.transcript.delta("Hello", [1]))
    await attempt.complete()
    first = (await (await asking).text()).split("\n")[1].removeprefix("data: ")
    usage = loads(first)["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (2, 7)


async def test_message_tokens_are_counted_by_a_worker(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    counting = asyncio.create_task(
        sdk.messages.count_tokens(model=MODEL, messages=QUESTION["messages"], system="Be brief.")
    )
    attempt = await harness.responses.say(await harness.submitted())
    assert attempt.job.count_only
    end = attempt.transcript.end(Status.COMPLETED, usage=Usage(input_tokens=7))
    await attempt.append([end], status=Status.COMPLETED)
    assert (await counting).input_tokens == 7


async def test_message_tokens_that_cannot_be_counted_are_an_error(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    from anthropic import BadRequestError

    counting = asyncio.create_task(
        sdk.messages.count_tokens(model=MODEL, messages=QUESTION["messages"])
    )
    error = {"code": "invalid_prompt", "message": "Tokens cannot be counted."}
    await fail(harness, await harness.submitted(), error=error)
    with pytest.raises(BadRequestError, match="cannot be counted"):
        await counting


async def test_models_are_pages_for_anthropics_sdk(
    harness: FrontHarness, sdk: "AsyncAnthropic"
) -> None:
    from anthropic import NotFoundError

    page = await sdk.models.list(limit=1)
    assert page.has_more
    names = [model.id async for model in page]
    assert names == await harness.context.models.names()
    assert (await sdk.models.retrieve(names[-1])).display_name == names[-1]
    with pytest.raises(NotFoundError) as caught:
        await sdk.models.retrieve("none")
    body: Any = caught.value.body
    assert body["error"]["type"] == "not_found_error"
