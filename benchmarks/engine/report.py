"""The report of the engine benchmark, as Markdown."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median

from benchmarks.engine.model import AXON, AXON_SSE, DIRECT, THROUGH, Leg, Pair, tokens_per_s
from benchmarks.report import bullets, number, table, target_table
from benchmarks.stats import percentile
from benchmarks.targets import Target

_SHARES = {AXON: {32: 0.95}, AXON_SSE: {1: 0.97, 8: 0.97, 32: 0.97}}
_ADDED_MS = 15.0
_ADDED_TO = 8
"""Requests at a time up to which the front's SSE has an aim for its added time to first token."""

DEFINITIONS = """\
- All sides have the same engine with the same settings loaded, and get the same prompts for
  answers of the same length, one side after the other, by turns first. Direct: the engine's class
  in a process of its own. Axon: the whole local cloud, over the gateway's WebSocket or over SSE at
  the front's own address, its clients on the same machine.
- Requests: so many at a time, each client asks again when its answer has ended.
- tokens/s: tokens of all answers, from the first question to the last answer. Ratio: Axon's as a
  share of the engine's own, the median of the pairs (least to most).
- First token: from the question to the first piece of text, p50. Added: Axon's less the engine's
  own, the median of the pairs (least to most).
- CPU: milliseconds per answer of each process with its children. `load`: the clients' own. `idle`:
  CPU use of what idles meanwhile, in % of one core."""

_HEADERS = (
    "requests", "side", "pairs", "tokens/s direct", "tokens/s Axon", "ratio",
    "first token direct ms", "first token Axon ms", "added ms",
)  # fmt: skip
_CPU_HEADERS = ("requests", "side", "answers", "CPU total", "CPU by process", "load", "idle %")


def render(pairs: Sequence[Pair], head: Iterable[str]) -> str:
    """Return the whole report."""
    groups = _groups(pairs)
    parts = [
        "## Through Axon against the engine alone",
        f"{bullets(head)}\n{DEFINITIONS}",
        table(_HEADERS, [_row(group) for group in groups]),
        table(_CPU_HEADERS, _cpu_rows(groups)),
        target_table(evaluate(pairs)),
    ]
    return "\n\n".join(parts) + "\n"


def clients_of(pair: Pair) -> int:
    """Return the number of requests at a time."""
    return pair.direct.work.clients


def added_ms(pair: Pair) -> float:
    """Return the time to first token that Axon adds, p50 less p50, in milliseconds."""
    return _first_ms([pair.axon]) - _first_ms([pair.direct])


def evaluate(pairs: Sequence[Pair]) -> list[Target]:
    """Return the targets of each side: throughput, added time to first token."""
    groups = {(group[0].axon.side, clients_of(group[0])): group for group in _groups(pairs)}
    targets = []
    for side in (name for name in THROUGH if any(side == name for side, _ in groups)):
        for clients, share in _SHARES[side].items():
            targets.append(_throughput(side, clients, share, groups.get((side, clients), [])))
        for (name, clients), group in groups.items():
            if name == side and (side == AXON or clients <= _ADDED_TO):
                targets.append(_added(side, clients, group))
    return targets


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Return the pairs by number of requests and side, in this order."""

    def key(pair: Pair) -> tuple[int, int]:
        return clients_of(pair), THROUGH.index(pair.axon.side)

    return [list(group) for _, group in groupby(sorted(pairs, key=key), key=key)]


def _throughput(side: str, clients: int, share: float, group: Sequence[Pair]) -> Target:
    text = f"{side}: tokens/s at {clients} requests: at least {share:g} of the engine's own"
    ratios = [pair.throughput for pair in group]
    if not ratios:
        return Target(text, "", None)
    return Target(text, _spread(ratios, "{:.3f}"), median(ratios) >= share)


def _added(side: str, clients: int, group: Sequence[Pair]) -> Target:
    text = f"{side}: added time to first token, p50 at {clients} requests: under {_ADDED_MS:g} ms"
    added = [added_ms(pair) for pair in group]
    return Target(text, f"{_spread(added, '{:.1f}')} ms", median(added) < _ADDED_MS)


def _row(group: Sequence[Pair]) -> tuple[str, ...]:
    direct, axon = [pair.direct for pair in group], [pair.axon for pair in group]
    return (
        str(clients_of(group[0])),
        group[0].axon.side,
        str(len(group)),
        number(tokens_per_s(direct)),
        number(tokens_per_s(axon)),
        _spread([pair.throughput for pair in group], "{:.3f}"),
        number(_first_ms(direct)),
        number(_first_ms(axon)),
        _spread([added_ms(pair) for pair in group], "{:.1f}"),
    )


def _cpu_rows(groups: Sequence[Sequence[Pair]]) -> list[tuple[str, ...]]:
    rows, direct = [], set[int]()
    for group in groups:
        # The sides of one number of requests share the engine's own legs.
        if clients_of(group[0]) not in direct:
            direct.add(clients_of(group[0]))
            rows.append(_cpu_row([pair.direct for pair in group]))
        rows.append(_cpu_row([pair.axon for pair in group]))
    return rows


def _cpu_row(legs: Sequence[Leg]) -> tuple[str, ...]:
    answers = sum(leg.work.answers for leg in legs)
    names = legs[0].cpu_s
    by_process = {name: sum(leg.cpu_s[name] for leg in legs) * 1000 / answers for name in names}
    ordered = sorted(by_process.items(), key=lambda item: -item[1])
    seconds = sum(leg.seen.seconds for leg in legs)
    return (
        str(legs[0].work.clients),
        legs[0].side,
        str(answers),
        number(sum(by_process.values())),
        ", ".join(f"{name} {number(cpu)}" for name, cpu in ordered),
        # The engine alone is its own client.
        number(sum(leg.seen.client_cpu_s for leg in legs) * 1000 / answers)
        if legs[0].side != DIRECT
        else "-",
        number(sum(leg.idle_cpu_s for leg in legs) / seconds * 100),
    )


def _first_ms(legs: Sequence[Leg]) -> float:
    return percentile((ms for leg in legs for ms in leg.seen.first_tokens_ms), 50)


def _spread(values: Sequence[float], form: str) -> str:
    parts = (median(values), min(values), max(values))
    middle, least, most = (form.format(value) for value in parts)
    return f"{middle} ({least} to {most})"
