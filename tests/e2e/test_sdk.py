"""The unmodified OpenAI SDKs against the whole path."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
import redis
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.e2e.cloud import Cloud

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TERMINAL = {"response.completed", "response.failed", "response.incomplete", "error"}


def turn(connection: Any, **request: Any) -> list[Any]:
    """Send a request and return its events, checked: gapless numbers, valid by the SDK's types."""
    connection.send({"type": "response.create", **request})
    events: list[Any] = []
    while not events or events[-1].type not in TERMINAL:
        raw = json.loads(connection.recv_bytes())
        events.append(EVENT.validate_python(raw, strict=False))
    if events[-1].type != "error":
        assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def text_of(events: Iterable[Any]) -> str:
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def test_sdk_streams_a_response(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        events = turn(connection, model="echo", input="count to 40")
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    expected = " ".join(map(str, range(1, 41)))
    assert text_of(events) == expected
    final = events[-1].response
    assert final.output_text == expected
    assert final.usage.output_tokens == 40
    assert final.usage.input_tokens == 3


def test_sdk_continues_a_conversation_on_one_connection(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = turn(connection, model="echo", input="alpha beta")[-1].response
        second = turn(connection, model="echo", input="gamma", previous_response_id=first.id)[
            -1
        ].response
        third = turn(connection, model="echo", input="delta", previous_response_id=second.id)[
            -1
        ].response
    assert third.output_text == "delta"
    # The prompt holds all turns: 2 + 2, 1 + 1, 1 words.
    assert third.usage.input_tokens == 7


def test_sdk_continues_a_conversation_from_postgres(client: OpenAI, cloud: Cloud) -> None:
    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    with client.responses.connect() as connection:
        first = turn(connection, model="echo", input="one two three")[-1].response
    _await_row(endpoints["postgres_dsn"], first.id)
    with redis.Redis.from_url(endpoints["valkey_url"]) as valkey:
        assert valkey.delete(f"axon:turn:{first.id}") == 1
    with client.responses.connect() as connection:
        second = turn(connection, model="echo", input="four", previous_response_id=first.id)
    assert second[-1].response.usage.input_tokens == 7


def test_sdk_multiplexes_responses_by_stream_id(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        for name in ("a", "b"):
            connection.send(
                {"type": "response.create", "model": "echo", "input": f"count to 30 {name}",
                 "stream_id": name}
            )  # fmt: skip
        ended: dict[str, list[int]] = {"a": [], "b": []}
        done = 0
        while done < 2:
            raw = json.loads(connection.recv_bytes())
            ended[raw["stream_id"]].append(raw["sequence_number"])
            done += raw["type"] == "response.completed"
    for numbers in ended.values():
        assert numbers == list(range(len(numbers)))


def test_sdk_continues_an_unstored_response_on_its_connection_only(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = turn(connection, model="echo", input="secret", store=False)[-1].response
        again = turn(
            connection, model="echo", input="x", previous_response_id=first.id, store=False
        )
        assert again[-1].type == "response.completed"
    with client.responses.connect() as connection:
        refused = turn(connection, model="echo", input="x", previous_response_id=first.id)[-1]
    assert refused.type == "error"
    assert refused.code == "previous_response_not_found"


def test_sdk_continues_a_response_without_generation(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        warm = turn(connection, model="echo", input="ready set", generate=False)
        assert warm[-1].type == "response.completed"
        assert warm[-1].response.output == []
        events = turn(
            connection, model="echo", input="go", previous_response_id=warm[-1].response.id
        )
    assert events[-1].response.usage.input_tokens == 3


def test_sdk_gets_an_incomplete_response_at_max_output_tokens(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        events = turn(connection, model="echo", input="count to 50", max_output_tokens=7)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert text_of(events) == "1 2 3 4 5 6 7"


def test_sdk_cancels_a_response(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        connection.response.create(model="echo", input="count to 20000")
        while True:
            raw = json.loads(connection.recv_bytes())
            if raw["type"] == "response.created":
                response_id = raw["response"]["id"]
            if raw["type"] == "response.output_text.delta":
                break
        connection.send({"type": "response.cancel", "response_id": response_id})  # type: ignore[arg-type]
        while raw["type"] not in TERMINAL:
            raw = json.loads(connection.recv_bytes())
        assert raw["type"] == "response.incomplete"
        assert raw["response"]["status"] == "cancelled"
        # To cancel again gets an answer, too.
        connection.send({"type": "response.cancel", "response_id": response_id})  # type: ignore[arg-type]
        assert json.loads(connection.recv_bytes())["type"] == "response.cancelled"
        # The slot is free again.
        assert turn(connection, model="echo", input="next")[-1].response.output_text == "next"


def test_sdk_gets_a_repeated_request_answered_on_the_same_connection(client: OpenAI) -> None:
    request = {"model": "echo", "input": "count to 3", "idempotency_key": "again"}
    with client.responses.connect() as connection:
        first, second = turn(connection, **request), turn(connection, **request)
    assert [event.to_dict() for event in second] == [event.to_dict() for event in first]


def test_sdk_frees_its_slot_when_it_disconnects(client: OpenAI, cloud: Cloud) -> None:
    with client.responses.connect(extra_query={"cancel_on_disconnect": "true"}) as connection:
        connection.response.create(model="echo", input="count to 20000")
        while (raw := json.loads(connection.recv_bytes()))["type"] != "response.output_text.delta":
            if raw["type"] == "response.created":
                response_id = raw["response"]["id"]
    # Long before the 60 s for which a client can come back.
    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    _await_row(endpoints["postgres_dsn"], response_id, status="cancelled")


async def test_sdk_serves_many_async_clients(async_client: AsyncOpenAI) -> None:
    async def one(number: int) -> str:
        async with async_client.responses.connect() as connection:
            await connection.response.create(model="echo", input=f"count to {number}")
            pieces = []
            async for event in connection:
                if event.type == "response.output_text.delta":
                    pieces.append(event.delta)
                if event.type == "response.completed":
                    return "".join(pieces)
            raise AssertionError("closed")

    answers = await asyncio.gather(*(one(number) for number in range(20, 60)))
    assert answers == [" ".join(map(str, range(1, n + 1))) for n in range(20, 60)]


async def test_sdk_runs_openai_agents(async_client: AsyncOpenAI) -> None:
    agents = pytest.importorskip("agents")
    agents.set_tracing_disabled(True)
    model = agents.OpenAIResponsesWSModel(model="echo", openai_client=async_client)
    agent = agents.Agent(name="parrot", instructions="Repeat.", model=model)
    result = agents.Runner.run_streamed(agent, "hello from an agent")
    async for _ in result.stream_events():
        pass
    assert result.final_output == "hello from an agent"
    follow_up = agents.Runner.run_streamed(
        agent, "and again", previous_response_id=result.last_response_id
    )
    async for _ in follow_up.stream_events():
        pass
    assert follow_up.final_output == "and again"
    await model.close()


def _await_row(dsn: str, response_id: str, *, status: str = "completed") -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(200):
            row = connection.execute(
                "SELECT status FROM responses WHERE response_id = %s", [response_id]
            ).fetchone()
            if row:
                assert row[0] == status
                return
            connection.execute("SELECT pg_sleep(0.05)")
    raise AssertionError(f"{response_id} did not reach PostgreSQL")
