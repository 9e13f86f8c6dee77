"""Plans and legs as a run makes them."""

from benchmarks.affinity.model import Counters, Leg, Plan, Turn


def plan(*, conversations: int = 3, turns: int = 2, concurrency: int = 2) -> Plan:
    return Plan(
        engine="echo",
        model=None,
        python=None,
        workers=2,
        conversations=conversations,
        turns=turns,
        concurrency=concurrency,
        tokens=16,
        words=40,
    )


def turn(
    conversation: int, number: int, *, first_ms: float | None = 10.0, tokens: int = 100
) -> Turn:
    return Turn(
        conversation=conversation,
        number=number,
        first_token_ms=first_ms,
        input_tokens=tokens,
        output_tokens=20,
    )


def leg(
    *turns: Turn, affinity: bool = True, queries: float = 0, hits: float = 0, seconds: float = 4
) -> Leg:
    counters = {
        "worker-0": Counters(queries, hits, len(turns) - 1),
        "worker-1": Counters(0, 0, 1),
    }
    return Leg(affinity=affinity, seconds=seconds, turns=list(turns), counters=counters)
