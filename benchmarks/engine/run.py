"""The run: the same work for all sides, one after the other, with alternating order."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

from benchmarks.command import Say
from benchmarks.engine.model import DIRECT, THROUGH, Leg, Pair, Work, tokens_per_s
from benchmarks.model import BenchmarkError

_MAX_QUESTIONS = 200
# The same number of digits in all prompts, and so of tokens.
_FIRST_NUMBER = 10_000

_Ask = Callable[[str, Work], Awaitable[Leg]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Pairs of legs of about `seconds` each, for each number of clients and each of the sides."""

    clients: tuple[int, ...]
    tokens: int
    pairs: int
    seconds: float
    sides: tuple[str, ...] = THROUGH


def order(pair: int, sides: tuple[str, ...] = THROUGH) -> tuple[str, ...]:
    """Return the order of all sides; it alternates, so that a drift affects all alike."""
    every = (DIRECT, *sides)
    return every if pair % 2 == 0 else every[::-1]


def questions(plan: Plan, warm_up: Leg) -> int:
    """Return how many requests per client make a leg of about the planned length."""
    each_s = warm_up.seen.seconds / warm_up.work.questions
    return min(max(math.ceil(plan.seconds / each_s), 1), _MAX_QUESTIONS)


async def run(plan: Plan, ask: _Ask, say: Say) -> list[Pair]:
    """Run the whole plan; `ask` runs one leg of a side.

    Raises
    ------
    BenchmarkError
        A leg failed: half a pair has no meaning.
    """
    pairs, prompts = [], count(_FIRST_NUMBER, max(plan.clients) * _MAX_QUESTIONS)
    for clients in plan.clients:
        warm_up = Work(clients=clients, questions=1, tokens=plan.tokens, first=next(prompts))
        for side in order(1, plan.sides):
            warm = await _leg(side, warm_up, ask, say)
        asked = questions(plan, warm)
        for number in range(plan.pairs):
            work = Work(clients=clients, questions=asked, tokens=plan.tokens, first=next(prompts))
            legs = {side: await _leg(side, work, ask, say) for side in order(number, plan.sides)}
            pairs += [Pair(direct=legs[DIRECT], axon=legs[side]) for side in plan.sides]
    return pairs


async def _leg(side: str, work: Work, ask: _Ask, say: Say) -> Leg:
    leg = await ask(side, work)
    if leg.seen.failures:
        raise BenchmarkError(f"{side}, {work}: {leg.seen.failures[0]}")
    say(
        f"{side}, {work.clients} requests, {work.answers} answers: {tokens_per_s([leg]):.0f} "
        f"tokens/s in {leg.seen.seconds:.1f} s"
    )
    return leg
