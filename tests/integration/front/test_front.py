"""The unmodified SDK of OpenAI at fronts over real servers, with a worker."""

import asyncio
import json
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import openai
import pytest
import redis
from openai import AsyncStream
from openai.resources.responses.responses import AsyncResponsesConnection
from openai.types.responses import ResponseStreamEvent
from websockets.exceptions import ConnectionClosed

from tests.integration.front.front_harness import FrontHarness
from tests.support.partial_loss import rewind, snapshot

REVOKED_WITHIN_S = 10
"""Twice the promised time (ADR 23): the machine may be very busy."""
AGAIN_WITHIN_S = 15
"""Many times the pause between two looks: the machine may be very busy."""
LONG = " ".join(f"word{number}" for number in range(300))


async def test_front_serves_the_responses_api_to_the_sdk(harness: FrontHarness) -> None:
    async with harness.worker(echo_token_ms="1"), harness.front() as (client, _):
        assert [model.id async for model in await client.models.list()] == ["echo"]
        first = await client.responses.create(model="echo", input="hello there")
        assert (first.status, first.output_text) == ("completed", "hello there")
        assert (await client.responses.retrieve(first.id)).output_text == "hello there"
        items = await client.responses.input_items.list(first.id)
        (item,) = items.data
        assert item.to_dict()["content"] == [{"type": "input_text", "text": "hello there"}]

        stream = await client.responses.create(
            model="echo", input="and again", previous_response_id=first.id, stream=True
        )
        events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        second = events[-1].response  # type: ignore[union-attr]
        assert second.output_text == "and again"
        replay = await client.responses.retrieve(second.id, stream=True, starting_after=2)
        assert [event async for event in replay] == events[3:]

        await client.responses.delete(second.id)
        with pytest.raises(openai.NotFoundError) as caught:
            await client.responses.retrieve(second.id)
        assert caught.value.code == "response_not_found"
        assert caught.value.request_id is not None


async def test_front_serves_the_conversations_api_to_the_sdk(
    harness: FrontHarness, valkey_url: str, write_history: Callable[[], Awaitable[int]]
) -> None:
    async with harness.worker(echo_token_ms="1"), harness.front() as (client, _):
        made = await client.conversations.create(
            items=[{"type": "message", "role": "user", "content": "before"}],
            metadata={"topic": "tests"},
        )
        first = await client.responses.create(model="echo", input="one", conversation=made.id)
        assert first.conversation is not None
        assert (first.conversation.id, first.previous_response_id) == (made.id, None)
        stream = await client.responses.create(
            model="echo", input="two", conversation={"id": made.id}, stream=True
        )
        events = [event async for event in stream]
        assert events[-1].type == "response.completed"
        assert await _texts(client.conversations.items.list(made.id, order="asc", limit=2)) == [
            "before", "one", "one", "two", "two",
        ]  # fmt: skip
        assert await write_history() == 2
        with redis.Redis.from_url(valkey_url) as admin:  # what is read now comes from PostgreSQL
            admin.delete(*admin.keys("axon:turn:*"), *admin.keys("axon:response:*"))
        await client.responses.delete(first.id)
        items = client.conversations.items
        (added,) = (await items.create(made.id, items=[{"role": "user", "content": "x"}])).data
        assert added.id is not None
        assert (await items.retrieve(added.id, conversation_id=made.id)).id == added.id
        await client.responses.create(model="echo", input="three", conversation=made.id)
        assert (await items.delete(added.id, conversation_id=made.id)).id == made.id
        assert await _texts(items.list(made.id, order="asc")) == [
            "before", "two", "two", "three", "three",
        ]  # fmt: skip
        changed = await client.conversations.update(made.id, metadata={"topic": "done"})
        assert changed == await client.conversations.retrieve(made.id)
        assert (await client.conversations.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError) as caught:
            await client.responses.create(model="echo", input="four", conversation=made.id)
        assert caught.value.code == "conversation_not_found"


async def test_front_that_ends_leaves_its_streams_to_another_one(harness: FrontHarness) -> None:
    async with (
        harness.worker(echo_token_ms="5"),
        harness.front(stop_timeout_s="0.1") as (leaving, stop),
        harness.front() as (staying, _),
    ):
        stream = await leaving.responses.create(model="echo", input=LONG, stream=True)
        received: list[ResponseStreamEvent] = []
        with pytest.raises(openai.APIConnectionError):
            async for event in stream:
                received.append(event)
                if event.type == "response.output_text.delta":
                    stop.set()
        response_id = received[0].response.id  # type: ignore[union-attr]
        rest = await staying.responses.retrieve(
            response_id, stream=True, starting_after=received[-1].sequence_number
        )
        received.extend([event async for event in rest])
        assert [event.sequence_number for event in received] == list(range(len(received)))
        assert received[-1].response.output_text == LONG  # type: ignore[union-attr]


async def test_front_that_ends_leaves_its_websockets_to_another_one(
    harness: FrontHarness, valkey_url: str
) -> None:
    request: Any = {"type": "response.create", "model": "echo", "input": LONG, "stream_id": "s"}

    async def receive(socket: AsyncResponsesConnection) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await socket.recv_bytes())
        received.append(event)
        return event

    async def asked(socket: AsyncResponsesConnection, event: Any) -> dict[str, Any]:
        """Send a request; return the response as its end, or its error, shows it."""
        await socket.send(event)
        while not (response := (ended := await receive(socket)).get("response", {})).get("usage"):
            if ended["type"] == "error":
                return ended
        return dict(response)

    received: list[dict[str, Any]] = []
    async with (
        harness.worker(echo_token_ms="2"),
        harness.front(stop_timeout_s="0.1") as (leaving, stop),
        harness.front() as (staying, _),
        leaving.responses.connect() as first,
    ):
        # Continued where it began, and nowhere else.
        secret = await asked(first, request | {"input": "secret", "store": False})
        follows = request | {"input": "x", "previous_response_id": secret["id"]}
        assert (await asked(first, follows))["usage"]["input_tokens"] == 3
        received.clear()
        await first.send(request)
        while (await receive(first))["type"] != "response.output_text.delta":
            pass
        stop.set()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await receive(first)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        async with staying.responses.connect() as second:
            resume = {"type": "response.resume", "stream_id": "s"} | {
                "response_id": received[0]["response"]["id"],
                "starting_after": received[-1]["sequence_number"],
            }
            ended = await asked(second, resume)
            assert [event["sequence_number"] for event in received] == list(range(len(received)))
            assert "".join(event.get("delta", "") for event in received) == LONG
            assert ended["output"][0]["content"][0]["text"] == LONG
            assert (await asked(second, follows))["code"] == "previous_response_not_found"
        with redis.Redis.from_url(valkey_url) as admin:
            assert not admin.exists(f"axon:turn:{secret['id']}")


async def test_front_cancels_a_response_that_runs(harness: FrontHarness) -> None:
    async with harness.worker(echo_token_ms="50"), harness.front() as (client, _):
        stream: AsyncStream[Any] = await client.responses.create(
            model="echo", input=LONG, stream=True
        )
        created = await anext(stream)
        cancelled = await client.responses.cancel(created.response.id)
        assert cancelled.status == "cancelled"
        events = [event async for event in stream]
        assert events[-1].response.status == "cancelled"


async def test_front_closes_the_websocket_of_a_revoked_key(harness: FrontHarness) -> None:
    async with harness.front() as (client, _), client.responses.connect() as socket:
        await harness.revoke()
        async with asyncio.timeout(REVOKED_WITHIN_S):
            assert json.loads(await socket.recv_bytes())["error"]["code"] == "invalid_api_key"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv_bytes()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_front_cancels_again_what_a_failover_undoes(
    harness: FrontHarness, valkey_url: str
) -> None:
    async with harness.front(models="echo") as (client, _):  # nobody begins it
        stream: AsyncStream[Any] = await client.responses.create(
            model="echo", input="hello", stream=True
        )
        created = await anext(stream)
        with redis.Redis.from_url(valkey_url) as admin:
            before = snapshot(admin)
            await client.responses.cancel(created.response.id)
            rewind(admin, before)
        await stream.close()
        async with asyncio.timeout(AGAIN_WITHIN_S):
            while (await client.responses.retrieve(created.response.id)).status != "cancelled":
                await asyncio.sleep(0.1)


async def test_front_ends_the_stream_of_a_revoked_key(harness: FrontHarness) -> None:
    async with harness.worker(echo_token_ms="50"), harness.front() as (client, _):
        stream: AsyncStream[Any] = await client.responses.create(
            model="echo", input=LONG, stream=True
        )
        created = await anext(stream)
        await harness.revoke()
        async with asyncio.timeout(REVOKED_WITHIN_S):
            events = [event async for event in stream]
        assert events[-1].response.status == "cancelled"
        with pytest.raises(openai.AuthenticationError):
            await client.responses.retrieve(created.response.id)


async def _texts(items: AsyncIterable[Any]) -> list[str]:
    """Return the texts of all pages of a list."""
    return [item.content[0].text async for item in items]
