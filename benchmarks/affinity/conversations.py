"""Conversations over WebSocket, whose turns alternate, a fixed number at a time."""

import asyncio
import json
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from random import Random
from typing import Any

from benchmarks.affinity.model import Plan, Turn
from benchmarks.affinity.prompts import instructions, question
from benchmarks.clients import Answer, WrongAnswerError
from benchmarks.engine.axon_load import ModelClient

_SEED = 20260000
"""Seed of the order of turns, which is the same in every leg."""
WARM_UPS = 4
"""Requests that each client sends before the measurement."""


class TurnClient(ModelClient):
    """Sends one turn at a time; an answer may have no text."""

    async def turn(self, create: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
        """Send a request; return the response, and the milliseconds to its first text."""
        request = {"type": "response.create", "model": self._model, "temperature": 0, **create}
        self._request = json.dumps(request).encode()
        answer = await self._exchange()
        self._check(answer)
        return self._ended, answer.ttft_s * 1000 if answer.delta_moments else None

    def _check(self, answer: Answer) -> None:
        if answer.delta_moments:
            super()._check(answer)
        elif any(part["text"] for item in self._ended["output"] for part in item["content"]):
            raise WrongAnswerError("a text came without deltas")


class Conversation:
    """One conversation; a turn waits for the end of the one before it."""

    def __init__(self, number: int, plan: Plan) -> None:
        self._number = number
        self._plan = plan
        self._lock = asyncio.Lock()
        self._turn = 0
        self._create: dict[str, Any] = {
            "instructions": instructions(number, words=plan.words),
            "max_output_tokens": plan.tokens,
        }

    async def next_turn(self, client: TurnClient) -> Turn:
        """Ask the next question."""
        async with self._lock:
            number, self._turn = self._turn, self._turn + 1
            response, first_token_ms = await client.turn(
                self._create | {"input": question(self._number, number)}
            )
            self._create["previous_response_id"] = response["id"]
        usage = response["usage"]
        return Turn(
            conversation=self._number,
            number=number,
            first_token_ms=first_token_ms,
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
        )


def order(plan: Plan) -> list[int]:
    """Return the conversations in the order of their turns: all first turns, then all second."""
    random, numbers = Random(_SEED), range(plan.conversations)
    return [one for _ in range(plan.turns) for one in random.sample(numbers, len(numbers))]


async def warm_up(clients: list[TurnClient]) -> None:
    """Send requests that no conversation sends, so that no engine's first request is measured."""

    async def ask(client: TurnClient, number: int) -> None:
        for turn in range(WARM_UPS):
            text = f"Warm-up {number}-{turn}. Say something about the weather."
            await client.turn({"input": text, "max_output_tokens": 8, "store": False})

    await _all(ask(client, number) for number, client in enumerate(clients))


async def run_conversations(plan: Plan, clients: list[TurnClient]) -> list[Turn]:
    """Run all conversations; each client runs one turn at a time."""
    conversations = [Conversation(number, plan) for number in range(plan.conversations)]
    waiting, done = deque(order(plan)), list[Turn]()

    async def work(client: TurnClient) -> None:
        while waiting:
            done.append(await conversations[waiting.popleft()].next_turn(client))

    await _all(map(work, clients))
    return done


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run everything at the same time; a failure cancels the rest."""
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)
