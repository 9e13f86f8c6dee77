from itertools import chain

import pytest

from benchmarks.engine.model import AXON, AXON_SSE, DIRECT, Leg, Work
from benchmarks.engine.run import Plan, order, questions, run
from benchmarks.model import BenchmarkError
from tests.unit.benchmarks.engine.leg_samples import leg


class StubSides:
    """Remembers what it is asked; a question takes a client two seconds."""

    def __init__(self, *, broken: str = "") -> None:
        self.asked: list[tuple[str, Work]] = []
        self._broken = broken

    async def ask(self, side: str, work: Work) -> Leg:
        self.asked.append((side, work))
        failures = ("TimeoutError: late",) if side == self._broken else ()
        return leg(side, work=work, failures=failures)


def plan(*clients: int, pairs: int = 2, seconds: float = 25.0) -> Plan:
    return Plan(clients=clients, tokens=64, pairs=pairs, seconds=seconds)


def nothing(_: str) -> None:
    pass


def test_run_alternates_the_first_side() -> None:
    assert [order(number)[0] for number in range(4)] == [DIRECT, AXON_SSE, DIRECT, AXON_SSE]
    assert {frozenset(order(number)) for number in range(4)} == {
        frozenset((DIRECT, AXON, AXON_SSE))
    }
    assert order(1, (AXON,)) == (AXON, DIRECT)


def test_run_plans_legs_of_the_requested_length() -> None:
    warm_up = leg(DIRECT, work=Work(clients=8, questions=1, tokens=64, first=0))
    assert questions(plan(8, seconds=25), warm_up) == 3
    assert questions(plan(8, seconds=1), warm_up) == 1


async def test_run_gives_all_sides_the_same_work() -> None:
    sides = StubSides()
    pairs = await run(plan(1, 8), sides.ask, nothing)
    measured = [one for one in sides.asked if one[1].questions == 3]
    assert [side for side, _ in measured] == [DIRECT, AXON, AXON_SSE, AXON_SSE, AXON, DIRECT] * 2
    assert [one.direct.work for one in pairs] == [one.axon.work for one in pairs]
    assert [one.direct.work.clients for one in pairs] == [1] * 4 + [8] * 4
    assert [one.axon.side for one in pairs] == [AXON, AXON_SSE] * 4


async def test_run_sends_no_prompt_twice_to_a_side() -> None:
    sides = StubSides()
    await run(plan(1, 32), sides.ask, nothing)
    for name in (DIRECT, AXON, AXON_SSE):
        works = [work for side, work in sides.asked if side == name]
        prompts = list(chain.from_iterable(w.prompts(i) for w in works for i in range(w.clients)))
        assert len(set(prompts)) == len(prompts) == sum(work.answers for work in works)
        assert len({len(prompt) for prompt in prompts}) == 1


async def test_run_fails_if_one_leg_fails() -> None:
    with pytest.raises(BenchmarkError, match="TimeoutError: late"):
        await run(plan(1), StubSides(broken=AXON).ask, nothing)
