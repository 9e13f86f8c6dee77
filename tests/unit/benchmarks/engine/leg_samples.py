"""Legs as tests want them."""

from collections.abc import Sequence

from benchmarks.engine.model import AXON, DIRECT, Leg, Pair, Work, WorkResult


def leg(
    side: str,
    *,
    clients: int = 32,
    per_s: float = 100.0,
    first_ms: Sequence[float] = (10.0,),
    work: Work | None = None,
    failures: tuple[str, ...] = (),
) -> Leg:
    """Ten seconds of it; the engine costs 0.2 s of CPU, the rest of Axon 0.1 s."""
    cpu_s = {"engine": 0.2} if side == DIRECT else {"worker-0": 0.2, "relay-0": 0.1}
    return Leg(
        side=side,
        work=work or Work(clients=clients, questions=2, tokens=64, first=0),
        seen=WorkResult(
            tokens=int(per_s * 10),
            seconds=10.0,
            first_tokens_ms=list(first_ms),
            client_cpu_s=0.064,
            failures=list(failures),
        ),
        cpu_s=cpu_s,
        idle_cpu_s=0.1,
    )


def pair(
    *, clients: int = 32, ratio: float = 0.96, added_ms: float = 5.0, side: str = AXON
) -> Pair:
    return Pair(
        direct=leg(DIRECT, clients=clients),
        axon=leg(side, clients=clients, per_s=100 * ratio, first_ms=[10 + added_ms]),
    )
