"""Targets of the front: Axon over SSE and its own WebSocket, beside agentic-api and LiteLLM."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.model import Cell, Measurement, Pace
from benchmarks.peers import AGENTIC, AXON_FRONT, AXON_SSE, LITELLM_2
from benchmarks.targets import Target, sound

_FRONTS = (AXON_SSE, AXON_FRONT)
_FIRST_TOKEN_MS = 5.0
_CLIENTS = 64
_FULL_SPEED = Pace(ttft_ms=0, token_ms=0)
_TIMES_CPU: Mapping[int, float] = {16: 2.5, 128: 1.5}
_TIMES_LITELLM: Mapping[int, float] = {16: 5.0, 128: 20.0}
_PART_OF_AGENTIC = 0.5
_SERVERS = frozenset({"mock", "valkey", "postgres", "fauxqs"})
"""Processes of others: a gateway that keeps its state in itself has none of them."""


def evaluate(measured: Sequence[Measurement]) -> list[Target]:
    """Return every target with its result. A failed measurement meets none."""
    by_peer = {name: {one.cell: one for one in measured if one.peer == name} for name in _NAMES}
    fronts = [one for name in _FRONTS for one in by_peer[name].values()]
    targets = [_first_token([one for one in fronts if one.cell.clients == 1])]
    targets.append(_first_token_p99(fronts, by_peer[AGENTIC]))
    for tokens, times in _TIMES_CPU.items():
        crowded = [one for one in fronts if one.cell == _cell(tokens)]
        agentic, lite = by_peer[AGENTIC].get(_cell(tokens)), by_peer[LITELLM_2].get(_cell(tokens))
        size = f"{_CLIENTS} clients, {tokens} tokens, full speed"
        targets += [
            _cpu(crowded, agentic, text=f"CPU of own processes at {size}", times=times),
            _throughput(crowded, agentic, size=size, times=_PART_OF_AGENTIC, name="agentic-api's"),
            _throughput(
                crowded, lite, size=size, times=_TIMES_LITELLM[tokens], name="LiteLLM's (2 workers)"
            ),
        ]
    return targets


_NAMES = (*_FRONTS, AGENTIC, LITELLM_2)


def _cell(tokens: int) -> Cell:
    return Cell(pace=_FULL_SPEED, clients=_CLIENTS, tokens=tokens)


def _own_cpu_ms(one: Measurement) -> float:
    return sum(one.cpu_ms(name) for name in one.cpu_s if name not in _SERVERS)


def _first_token(alone: Sequence[Measurement]) -> Target:
    text = f"over the front, added first token, p50 at 1 client: under {_FIRST_TOKEN_MS:g} ms"
    if not alone:
        return Target(text, "", None)
    worst = max(alone, key=lambda one: one.added_p50_ms)
    figure = f"{worst.added_p50_ms:.1f} ms ({worst.peer}, {worst.cell.label})"
    return Target(text, figure, sound(alone) and worst.added_p50_ms < _FIRST_TOKEN_MS)


def _first_token_p99(fronts: Iterable[Measurement], agentic: Mapping[Cell, Measurement]) -> Target:
    text = "over the front, its p99 from 16 clients up, at a pace: below agentic-api's (SSE)"
    pairs = [
        (one, agentic[one.cell])
        for one in fronts
        if one.cell.clients >= 16 and one.cell.pace != _FULL_SPEED and one.cell in agentic
    ]
    if not pairs:
        return Target(text, "", None)
    below = [sound([a]) and a.added_p99_ms < b.added_p99_ms for a, b in pairs]
    worst, beside = max(pairs, key=lambda pair: pair[0].added_p99_ms - pair[1].added_p99_ms)
    figure = (
        f"{sum(below)} of {len(below)} cells; nearest or worst {worst.added_p99_ms:.1f} against "
        f"{beside.added_p99_ms:.1f} ms ({worst.peer}, {worst.cell.label})"
    )
    return Target(text, figure, all(below))


def _cpu(
    fronts: Sequence[Measurement], agentic: Measurement | None, *, text: str, times: float
) -> Target:
    text = f"over the front, {text}: at most {times:g} times agentic-api's (SSE)"
    if not fronts or agentic is None or not sound([agentic]):
        return Target(text, "", None)
    worst = max(fronts, key=_own_cpu_ms)
    own, others = _own_cpu_ms(worst), _own_cpu_ms(agentic)
    figure = f"{own:.2f} against {others:.2f} ms: {own / others:.2f} times ({worst.peer})"
    return Target(text, figure, sound(fronts) and own <= times * others)


def _throughput(
    fronts: Sequence[Measurement],
    other: Measurement | None,
    *,
    size: str,
    times: float,
    name: str,
) -> Target:
    text = f"over the front, requests/s at {size}: at least {times:g} times {name}"
    if not fronts or other is None or not sound([other]):
        return Target(text, "", None)
    worst = min(fronts, key=lambda one: one.requests_per_s)
    ratio = worst.requests_per_s / other.requests_per_s
    figure = (
        f"{worst.requests_per_s:.0f} against {other.requests_per_s:.0f}: {ratio:.2f} times "
        f"({worst.peer})"
    )
    return Target(text, figure, sound(fronts) and ratio >= times)
