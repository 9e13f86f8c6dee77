import asyncio

import pytest

from axon.event_log.attendance import EXTEND_EVERY_S
from axon.event_log.log import Status
from axon.exceptions import RequestError, UnavailableError
from axon.ids import new_id
from front.reading import ResponseReader
from tests.support import virtual_time
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.samples import MODEL, TENANT
from tests.unit.front.front_harness import FrontHarness


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "json"])
async def test_reader_ends_at_once_when_the_client_leaves(
    harness: FrontHarness, streamed: bool
) -> None:
    asking = asyncio.create_task(harness.post(stream=streamed))
    response_id = await harness.submitted()
    if streamed:
        (await asking).close()
    else:
        asking.cancel()
    await eventually(lambda: not harness.reader.attended)
    await eventually(lambda: not harness.context.requests.count)
    assert not harness.responses.valkey.channels.listeners
    # It may be resumed: only the window of attendance ends it.
    assert await harness.responses.status(response_id) is Status.QUEUED


async def test_reader_of_a_response_that_cannot_be_resumed_cancels_it(
    harness: FrontHarness,
) -> None:
    answer, response_id = await harness.stream()
    opened = harness.reader.open(response_id, principal=a_principal(TENANT), cancel_on_leave=True)
    async with opened as events:
        assert (await anext(events)).sequence_number == 0
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.QUEUED  # another one reads it
    answer.close()
    await eventually(lambda: not harness.reader.attended)
    opened = harness.reader.open(response_id, principal=a_principal(TENANT), cancel_on_leave=True)
    async with opened as events:
        assert (await anext(events)).sequence_number == 0
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.CANCELLED


async def test_reader_cancels_nothing_that_has_ended(harness: FrontHarness) -> None:
    answer, response_id = await harness.stream()
    await harness.responses.answer(response_id, "Hello")
    await answer.read()
    opened = harness.reader.open(response_id, principal=a_principal(TENANT), cancel_on_leave=True)
    async with opened as events:
        async for event in events:
            if b"response.completed" in event.data:
                break
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.COMPLETED


async def test_reader_of_an_unknown_response_is_refused(harness: FrontHarness) -> None:
    async with harness.reader.open(
        new_id("resp"), principal=a_principal(TENANT), named=True
    ) as events:
        with pytest.raises(RequestError) as caught:
            await anext(events)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/responses", 503), ("/v1/chat/completions", 503), ("/v1/messages", 529)],
)
async def test_reader_that_loses_the_answer_to_a_request_asks_for_a_retry(
    harness: FrontHarness, path: str, status: int
) -> None:
    messages = [{"role": "user", "content": "hello"}]
    views = {"messages": messages, "max_tokens": 9}
    body = {"input": "hello"} if path == "/v1/responses" else views
    asking = asyncio.create_task(harness.client.post(path, json={"model": MODEL} | body))
    response_id = await harness.submitted()
    await harness.responses.say(response_id)
    harness.responses.valkey.lose()
    harness.responses.valkey.channels.reconnect()
    async with await asking as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (status, "2")
        assert "lost by a failure" in (await answer.json())["error"]["message"]


def test_reader_attends_new_responses_soon_and_all_of_them_again_and_again() -> None:
    async def scenario() -> None:
        harness = FrontHarness()
        await harness.responses.begin()
        reader: ResponseReader = harness.reader
        extended = harness.attendance.extended
        first, second = [await harness.responses.submit() for _ in range(2)]
        async with reader.open(first, principal=a_principal(TENANT)):
            await reader.attend()
            async with reader.open(first, principal=a_principal(TENANT)):
                await reader.attend()
            async with reader.open(second, principal=a_principal(TENANT)):
                await asyncio.sleep(EXTEND_EVERY_S / 2)
                await reader.attend()
                await asyncio.sleep(EXTEND_EVERY_S / 2)
                harness.attendance.fail_with = UnavailableError("Valkey is away")
                with pytest.raises(UnavailableError):
                    await reader.attend()
                harness.attendance.fail_with = None
                await reader.attend()
            await reader.attend()
        await asyncio.sleep(EXTEND_EVERY_S)
        await reader.attend()
        both = sorted([first, second])
        assert list(map(sorted, extended)) == [[first], [first], [second], both, both]

    virtual_time.run(scenario())


def test_reader_keeps_the_log_of_a_response_that_is_not_read_yet() -> None:
    async def scenario() -> None:
        harness = FrontHarness()
        await harness.responses.begin()
        response_id = await harness.responses.submit(connection_id="")
        await harness.responses.answer(response_id, "Hello")

        async def pass_a_minute() -> None:
            harness.responses.now += 60
            await asyncio.sleep(EXTEND_EVERY_S)
            await harness.reader.attend()

        async with harness.reader.open(response_id, principal=a_principal(TENANT)) as events:
            for _ in range(10):  # longer than a log is kept
                await pass_a_minute()
            assert (await anext(events)).sequence_number == 0
            for _ in range(10):
                await pass_a_minute()
        assert await harness.responses.valkey.read(response_id) == []

    virtual_time.run(scenario())


def test_reader_cancels_what_is_accepted_after_its_client_has_left() -> None:
    async def scenario() -> None:
        harness = FrontHarness()
        await harness.responses.begin()
        response_ids: list[str] = []

        async def submit(*, refused: bool) -> str:
            await asyncio.sleep(1)
            if refused:
                raise UnavailableError("Valkey is away")
            response_ids.append(await harness.responses.submit())
            return response_ids[-1]

        assert await harness.reader.submitted(submit(refused=False)) == response_ids[0]
        for refused in (False, True):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await harness.reader.submitted(submit(refused=refused))
        await harness.reader.drain()
        statuses = [await harness.responses.status(each) for each in response_ids]
        assert statuses == [Status.QUEUED, Status.CANCELLED]

    virtual_time.run(scenario())
