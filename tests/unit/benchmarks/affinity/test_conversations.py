import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.affinity.conversations import (
    WARM_UPS,
    TurnClient,
    order,
    run_conversations,
    warm_up,
)
from benchmarks.clients import WrongAnswerError
from tests.unit.benchmarks.affinity.leg_samples import plan

Json = dict[str, Any]


class StubAxon:
    """Answers each request after a moment, which is longer for some than for others."""

    def __init__(self, texts: Callable[[Json], tuple[str, list[str]]]) -> None:
        self.asked: list[Json] = []
        self.running = self.most_running = 0
        self._texts = texts

    async def handle(self, connection: ServerConnection) -> None:
        async for message in connection:
            request = json.loads(message)
            self.asked.append(request)
            number = len(self.asked)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await asyncio.sleep(0.02 * (number % 3))
            self.running -= 1
            for event in self._answer(request, f"resp_{number}"):
                await connection.send(json.dumps(event))

    def _answer(self, request: Json, response_id: str) -> list[Json]:
        text, deltas = self._texts(request)
        content = [{"type": "output_text", "text": text}] if text else []
        response = {
            "id": response_id,
            "usage": {"input_tokens": 50, "output_tokens": 7},
            "output": [{"content": content}],
        }
        events: list[Json] = [{"type": "response.created"}]
        events += [{"type": "response.output_text.delta", "delta": delta} for delta in deltas]
        events.append({"type": "response.incomplete", "response": response})
        return [event | {"sequence_number": number} for number, event in enumerate(events)]


def fluent(_: Json) -> tuple[str, list[str]]:
    return "a b", ["a", " b"]


@asynccontextmanager
async def clients_of(axon: StubAxon, *, count: int) -> AsyncIterator[list[TurnClient]]:
    async with serve(axon.handle, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/responses"
        clients = [TurnClient(url=url, model="m") for _ in range(count)]
        for client in clients:
            await client.connect()
        yield clients
        for client in clients:
            client.close()


def test_conversations_alternate_their_turns() -> None:
    turns = order(plan(conversations=5, turns=4))
    assert [sorted(turns[first : first + 5]) for first in range(0, 20, 5)] == [[0, 1, 2, 3, 4]] * 4
    assert turns == order(plan(conversations=5, turns=4))


async def test_conversation_turns_continue_each_other() -> None:
    axon = StubAxon(fluent)
    asked_for = plan(conversations=4, turns=3, concurrency=3)
    async with clients_of(axon, count=3) as clients:
        turns = await run_conversations(asked_for, clients)
    chains = Counter[str]()
    answered = {f"resp_{number}": request for number, request in enumerate(axon.asked, 1)}
    for request in axon.asked:
        if previous := request.get("previous_response_id"):
            assert answered[previous]["instructions"] == request["instructions"]
        chains[request["instructions"]] += 1
    assert sorted(chains.values()) == [3] * 4
    assert sum("previous_response_id" not in request for request in axon.asked) == 4
    continued = [request.get("previous_response_id") for request in axon.asked]
    assert max(Counter(filter(None, continued)).values()) == 1
    assert sorted((one.conversation, one.number) for one in turns) == [
        (conversation, number) for conversation in range(4) for number in range(3)
    ]
    assert {(one.input_tokens, one.output_tokens) for one in turns} == {(50, 7)}
    assert all(one.first_token_ms is not None and one.first_token_ms >= 0 for one in turns)
    assert axon.most_running == 3
    assert {request["max_output_tokens"] for request in axon.asked} == {16}


async def test_conversation_never_has_two_turns_at_a_time() -> None:
    axon = StubAxon(fluent)
    async with clients_of(axon, count=3) as clients:
        turns = await run_conversations(plan(conversations=1, turns=5, concurrency=3), clients)
    assert [one.number for one in turns] == [0, 1, 2, 3, 4]
    assert axon.most_running == 1


async def test_turn_without_text_has_no_first_token() -> None:
    async with clients_of(StubAxon(lambda _: ("", [])), count=1) as clients:
        turns = await run_conversations(plan(conversations=1), clients)
    assert [one.first_token_ms for one in turns] == [None, None]


@pytest.mark.parametrize(
    ("text", "deltas", "message"),
    [("a b", ["a"], "not the text"), ("a b", [], "without deltas")],
)
async def test_conversations_end_after_a_wrong_answer(
    text: str, deltas: list[str], message: str
) -> None:
    async with clients_of(StubAxon(lambda _: (text, deltas)), count=2) as clients:
        with pytest.raises(ExceptionGroup) as caught:
            await run_conversations(plan(), clients)
    assert caught.group_contains(WrongAnswerError, match=message)


async def test_warm_up_sends_nothing_that_a_conversation_repeats() -> None:
    axon = StubAxon(fluent)
    async with clients_of(axon, count=2) as clients:
        await warm_up(clients)
    assert len({request["input"] for request in axon.asked}) == 2 * WARM_UPS
    assert not any("instructions" in request for request in axon.asked)
    assert all(request["store"] is False for request in axon.asked)
