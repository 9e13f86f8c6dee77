import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import UnavailableError
from axon.history import HistoryRecord
from axon.ids import new_id, same_id
from axon.protocol.objects import Usage
from axon.serialization import dumps, loads
from tests.support.eventually import eventually
from tests.support.sdk_events import validate_stream
from tests.unit.axon.responses.test_retrieval import KEPT_S
from tests.unit.axon.samples import a_job
from tests.unit.front.front_harness import OTHER_KEY, FrontHarness

ITEMS = [{"role": "user", "content": f"question {number}"} for number in range(3)]


def parsed(text: bytes) -> list[LoggedEvent]:
    """Return the events of a stream, whose form is checked."""
    events = []
    for block in text.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(LoggedEvent(event["sequence_number"], dumps(event)))
    return events


async def test_responses_create_answers_with_the_ended_response(harness: FrontHarness) -> None:
    asking = asyncio.create_task(harness.post(metadata={"a": "b"}))
    await harness.responses.answer(await harness.submitted(), "Hel", "lo")
    async with await asking as answer:
        assert answer.status == 200
        response = await answer.json()
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["metadata"] == {"a": "b"}


async def test_responses_create_streams_the_events_of_the_log(harness: FrontHarness) -> None:
    answer, response_id = await harness.stream(stream_options={"include_obfuscation": True})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    await harness.responses.answer(response_id, "Hel", "lo")
    events = parsed(await answer.read())
    validate_stream(events)
    logged = await harness.responses.valkey.read(response_id)
    assert [event.data for event in events] == [event.data for event in logged]


async def test_responses_create_answers_200_also_for_a_failed_response(
    harness: FrontHarness,
) -> None:
    harness.responses.jobs.fail_with = UnavailableError("the queue is away")
    async with await harness.post() as answer:
        response = await answer.json()
    assert (answer.status, response["status"]) == (200, "failed")
    assert response["error"]["code"] == "server_error"


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "none"}, 404, "model_not_found", "model"),
        ({"background": True}, 400, "unsupported_parameter", "background"),
        ({"conversation": "conv_1"}, 404, "conversation_not_found", "conversation"),
        ({"include": ["file_search_call.results"]}, 400, "unsupported_parameter", "include"),
        ({"stream": "yes"}, 400, "invalid_value", "stream"),
        ({"stream": True, "input": 1}, 400, "invalid_value", "input"),
        (
            {"previous_response_id": "resp_1"},
            400,
            "previous_response_not_found",
            "previous_response_id",
        ),
    ],
)
async def test_responses_create_refuses_by_name(
    harness: FrontHarness, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    async with await harness.post(**fields) as answer:
        assert await harness.error(answer) == (status, code, param)


async def test_responses_create_repeats_no_request_of_an_idempotency_key(
    harness: FrontHarness,
) -> None:
    async def ask(text: str) -> tuple[int, dict[str, object]]:
        body = {"model": "echo", "input": text}
        headers = {"Idempotency-Key": "key-1"}
        async with harness.client.post("/v1/responses", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    first = asyncio.create_task(ask("hello"))
    await harness.responses.answer(await harness.submitted(), "Hello")
    assert await ask("hello") == await first
    status, error = await ask("another")
    assert (status, error["error"]["code"]) == (409, "idempotency_key_reused")  # type: ignore[index]


async def test_responses_retrieve_shows_a_response_running_ended_and_stored(
    harness: FrontHarness,
) -> None:
    answer, response_id = await harness.stream()
    running = await _get(harness, response_id)
    assert (running["status"], running["output"]) == ("queued", [])
    attempt = await harness.responses.say(response_id, "Hello")
    assert (await _get(harness, response_id))["status"] == "in_progress"
    await attempt.complete()
    await answer.read()
    ended = await _get(harness, response_id)
    assert ended["status"] == "completed"
    stored = a_job()
    response = ended | {"id": stored.response_id}
    await harness.responses.history.send(
        HistoryRecord.of(stored, response=response, version=1, ended_ms=1)
    )
    assert await _get(harness, stored.response_id) == response


@pytest.mark.parametrize("path", ["", "/input_items", "?stream=true", "/cancel", "DELETE"])
async def test_responses_of_others_and_unknown_ones_are_the_same(
    harness: FrontHarness, path: str
) -> None:
    answer, others = await harness.stream()
    await harness.responses.answer(others, "Hello")
    await answer.read()
    method = {"/cancel": "POST", "DELETE": "DELETE"}.get(path, "GET")
    path = "" if path == "DELETE" else path
    headers = {"Authorization": f"Bearer {OTHER_KEY}"}
    for response_id in (others, new_id("resp"), "nothing", "x" * 500):
        url = f"/v1/responses/{response_id}{path}"
        async with harness.client.request(method, url, headers=headers) as answer:
            assert await harness.error(answer) == (404, "response_not_found", "response_id")


async def test_responses_are_followed_from_any_event_by_several_readers(
    harness: FrontHarness,
) -> None:
    created, response_id = await harness.stream()
    attempt = await harness.responses.say(response_id, "one ", "two ")
    url = f"/v1/responses/{response_id}?stream=true"
    async with (
        harness.client.get(f"{url}&starting_after=2") as late,
        harness.client.get(url) as whole,
    ):
        await attempt.complete()
        events = parsed(await created.read())
        assert parsed(await whole.read()) == events
        assert parsed(await late.read()) == events[3:]
    async with harness.client.get(f"{url}&starting_after={len(events) - 2}") as ended:
        assert parsed(await ended.read()) == events[-1:]
    await attempt.store()
    harness.responses.now += KEPT_S
    for after in (-1, 2, len(events) - 2):
        async with harness.client.get(f"{url}&starting_after={after}") as stored:
            assert parsed(await stored.read()) == events[after + 1 :], "made again"


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("stream=true&starting_after=8", 400, "invalid_value", "starting_after"),
        # Where the client has more events than the log, a failure of the server has lost them.
        ("stream=true&starting_after=99", 410, "response_lost", "starting_after"),
        ("stream=true&starting_after=x", 400, "invalid_value", "starting_after"),
        ("stream=true&starting_after=-2", 400, "invalid_value", "starting_after"),
        ("stream=yes", 400, "invalid_value", "stream"),
        ("include[]=file_search_call.results", 400, "unsupported_parameter", "include"),
    ],
)
async def test_responses_follow_refuses_wrong_numbers(
    harness: FrontHarness, query: str, status: int, code: str, param: str
) -> None:
    created, response_id = await harness.stream()
    await harness.responses.answer(response_id, "Hello")
    assert parsed(await created.read())[-1].sequence_number == 8
    async with harness.client.get(f"/v1/responses/{response_id}?{query}") as answer:
        assert await harness.error(answer) == (status, code, param)


async def test_responses_whose_events_have_expired_say_so(harness: FrontHarness) -> None:
    created, response_id = await harness.stream()
    await harness.responses.answer(response_id, "Hello")
    await created.read()
    harness.responses.now += 301
    async with harness.client.get(f"/v1/responses/{response_id}?stream=true") as answer:
        assert await harness.error(answer) == (410, "response_lost", "response_id")


async def test_responses_that_are_lost_in_mid_stream_end_with_an_error_event(
    harness: FrontHarness,
) -> None:
    created, response_id = await harness.stream()
    await harness.responses.say(response_id, "Hello")
    harness.responses.valkey.lose()
    harness.responses.valkey.channels.reconnect()
    *events, error = parsed(await created.read())
    told = loads(error.data)
    assert (told["type"], told["error"]["code"]) == ("error", "response_lost")
    assert error.sequence_number == len(events)


async def test_responses_cancel_answers_with_the_cancelled_response(
    harness: FrontHarness,
) -> None:
    created, response_id = await harness.stream()
    await harness.responses.say(response_id, "Hello")
    for _ in range(2):
        async with harness.client.post(f"/v1/responses/{response_id}/cancel") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "cancelled")
    assert parsed(await created.read())
    ended, other = await harness.stream()
    await harness.responses.answer(other, "Hello")
    await ended.read()
    async with harness.client.post(f"/v1/responses/{other}/cancel") as answer:
        assert await harness.error(answer) == (400, "response_cancel_not_active", "response_id")


async def test_responses_delete_leaves_nothing_to_retrieve(harness: FrontHarness) -> None:
    created, response_id = await harness.stream()
    await harness.responses.answer(response_id, "Hello")
    await created.read()
    async with harness.client.delete(f"/v1/responses/{response_id}") as answer:
        deleted = await answer.json()
    assert deleted == {"id": response_id, "object": "response", "deleted": True}
    assert harness.responses.traces.erased == [response_id]


async def test_responses_input_items_come_in_pages(harness: FrontHarness) -> None:
    created, response_id = await harness.stream(input=ITEMS)
    url = f"/v1/responses/{response_id}/input_items"

    async def page(query: str) -> dict[str, object]:
        async with harness.client.get(f"{url}?{query}") as answer:
            assert answer.status == 200
            return dict(await answer.json())

    oldest_first = await page("order=asc")
    items = oldest_first["data"]
    assert isinstance(items, list)
    assert [item["content"][0]["text"] for item in items] == [it["content"] for it in ITEMS]
    assert (oldest_first["first_id"], oldest_first["last_id"]) == (items[0]["id"], items[2]["id"])
    newest = await page("limit=2")
    assert (newest["data"], newest["has_more"]) == (items[:0:-1], True)
    rest = await page(f"limit=2&after={newest['last_id']}")
    assert (rest["data"], rest["has_more"]) == (items[:1], False)
    await harness.responses.answer(response_id, "Hello")
    await created.read()
    assert await page("order=asc") == oldest_first  # now it comes from the cache of turns
    for query in ("limit=0", "order=up", "after=msg_1"):
        async with harness.client.get(f"{url}?{query}") as answer:
            name = query.partition("=")[0]
            assert await harness.error(answer) == (400, "invalid_value", name)


async def test_responses_input_may_refer_to_items_of_stored_responses(
    harness: FrontHarness,
) -> None:
    created, first = await harness.stream()
    await harness.responses.answer(first, "Hello")
    await created.read()
    item_id = same_id("msg", first)
    reference = {"type": "item_reference", "id": item_id}
    answer = await harness.post(stream=True, input=[reference, ITEMS[0]])
    await eventually(lambda: not harness.responses.jobs._visible.empty())
    (job,) = harness.responses.jobs_sent()
    assert [item["id"] for item in job.input[:1]] == [item_id]
    assert job.input[0]["content"][0]["text"] == "Hello"
    await harness.responses.answer(job.response_id, "Hello again")
    await answer.read()
    other = await harness.post(
        input=[{**reference, "id": same_id("rs", first)}]  # an item of another kind
    )
    assert await harness.error(other) == (404, "item_not_found", "input.0")


async def _get(harness: FrontHarness, response_id: str) -> dict[str, object]:
    async with harness.client.get(f"/v1/responses/{response_id}") as answer:
        assert answer.status == 200
        return dict(await answer.json())


async def test_responses_input_tokens_are_counted_by_a_worker(harness: FrontHarness) -> None:
    for status, code in ((Status.COMPLETED, 200), (Status.FAILED, 400)):
        asking = asyncio.create_task(harness.post("/v1/responses/input_tokens", generate=False))
        attempt = await harness.responses.say(await harness.submitted())
        assert (attempt.job.count_only, attempt.job.stored) == (True, False)
        error = {"code": "invalid_prompt", "message": "Tokens cannot be counted."}
        end = attempt.transcript.end(status, usage=Usage(input_tokens=7), error=error)
        await attempt.append([end], status=status)
        async with await asking as answer:
            body = await answer.json()
        assert answer.status == code
        if status is Status.COMPLETED:
            assert body == {"object": "response.input_tokens", "input_tokens": 7}
        else:
            assert body["error"]["message"] == "Tokens cannot be counted."


async def test_responses_compact_answers_with_messages_and_a_summary(harness: FrontHarness) -> None:
    asking = asyncio.create_task(harness.post(input="first"))
    first = await harness.submitted()
    await harness.responses.answer(first, "Hello")
    await (await asking).read()
    compacting = asyncio.create_task(
        harness.post("/v1/responses/compact", input="second", previous_response_id=first)
    )
    await harness.responses.answer(await harness.submitted(), "They met.")
    async with await compacting as answer:
        made = await answer.json()
    assert (answer.status, made["object"]) == (200, "response.compaction")
    *users, summary = made["output"]
    assert [user["content"][0]["text"] for user in users] == ["first", "second"]
    assert summary["type"] == "compaction"
    going_on = asyncio.create_task(harness.post(input=made["output"]))
    await harness.responses.answer(await harness.submitted(), "Yes.")
    async with await going_on as answer:
        assert (await answer.json())["status"] == "completed"


async def test_responses_compact_reads_the_conversation_after_the_summary(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.create_task(harness.post(input="first"))
    first = await harness.submitted()
    await harness.responses.answer(first, "Hello")
    await (await asking).read()
    conversations = harness.responses.conversations
    reads = AsyncMock(wraps=conversations.turns_before)
    monkeypatch.setattr(conversations, "turns_before", reads)
    compacting = asyncio.create_task(
        harness.post("/v1/responses/compact", previous_response_id=first)
    )
    summary_of = await harness.submitted()
    reads.assert_not_awaited()
    await harness.responses.answer(summary_of, "They met.")
    async with await compacting as answer:
        assert len((await answer.json())["output"]) == 3
    reads.assert_awaited_once()


async def test_responses_compact_says_if_there_is_no_summary(harness: FrontHarness) -> None:
    compacting = asyncio.create_task(harness.post("/v1/responses/compact"))
    await harness.responses.answer(await harness.submitted(), " ")
    async with await compacting as answer:
        assert await harness.error(answer) == (502, "upstream_answer_unusable", None)


async def test_responses_compact_refuses_unknown_fields_but_hints(harness: FrontHarness) -> None:
    async with await harness.post("/v1/responses/compact", previous_response="x") as answer:
        assert await harness.error(answer) == (400, "unknown_parameter", "previous_response")
    hints = {"prompt_cache_retention": "24h", "tools": [], "reasoning": {"effort": "low"}}
    compacting = asyncio.create_task(harness.post("/v1/responses/compact", **hints))
    await harness.responses.answer(await harness.submitted(), "They met.")
    assert (await compacting).status == 200


async def test_responses_compact_refuses_a_summary_that_was_cut_off(harness: FrontHarness) -> None:
    compacting = asyncio.create_task(harness.post("/v1/responses/compact"))
    attempt = await harness.responses.say(await harness.submitted(), "The user wants to pay ")
    end = attempt.transcript.end(Status.INCOMPLETE, reason="max_output_tokens")
    events = [*attempt.transcript.close_message(), end]
    await attempt.append(events, status=Status.INCOMPLETE)
    async with await compacting as answer:
        assert "cut off (max_output_tokens)" in (await answer.json())["error"]["message"]
        assert await harness.error(answer) == (400, "summary_incomplete", None)


async def test_responses_input_tokens_that_a_worker_does_not_know_are_refused(
    harness: FrontHarness,
) -> None:
    asking = asyncio.create_task(harness.post("/v1/responses/input_tokens"))
    attempt = await harness.responses.say(await harness.submitted(), "generated")
    events = [*attempt.transcript.close_message(), attempt.transcript.end(Status.COMPLETED)]
    await attempt.append(events, status=Status.COMPLETED)
    assert await harness.error(await asking) == (400, "unsupported_parameter", "model")
