"""The main benchmark: every cell, with all peers in turn, so that a drift affects all alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks import peers
from benchmarks.command import Say
from benchmarks.model import BenchmarkError, Measurement, Pace
from benchmarks.peer_group import PeerGroup, open_peer_group

LONG_PACE = Pace(ttft_ms=20, token_ms=20)
LONG_TOKENS = 500
_LONG_CLIENTS = 4
# Answers of 10 s in whole rounds: one round, or two in a run of the usual length.
_LONG_WINDOWS = 2.0
_WARM_CLIENTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Cells to measure; `seconds` is the least length of each measured window."""

    peers: tuple[str, ...]
    clients: tuple[int, ...]
    tokens: tuple[int, ...]
    paces: tuple[Pace, ...]
    seconds: float


@dataclass(slots=True)
class Results:
    """Measurements of a run; `long_answers` are for targets of their own."""

    measurements: list[Measurement] = field(default_factory=list)
    long_answers: list[Measurement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Return one line for each failure: in a cell, or of the servers of a pace."""
        return self.broken + [
            f"{one.peer}, {one.cell.label}: {failure}"
            for one in self.measurements + self.long_answers
            for failure in dict.fromkeys(one.load.failures)
        ]


_Part = Callable[[Plan, Results, Say], Awaitable[None]]


async def run(plan: Plan, say: Say) -> Results:
    """Run the whole plan; report each measurement to `say` when it is made."""
    results = Results()
    parts: list[_Part] = [partial(_run_cells, pace=pace) for pace in plan.paces]
    if peers.AXON in plan.peers:
        parts.append(_run_long)
    for part in parts:
        try:
            await part(plan, results, say)
        except BenchmarkError as error:  # the other parts can still be measured
            results.broken.append(str(error))
            say(f"FAILED {error}")
    return results


async def _run_cells(plan: Plan, results: Results, say: Say, *, pace: Pace) -> None:
    say(f"starting {'; '.join(plan.peers)} at {pace.label}")
    async with open_peer_group(plan.peers, pace=pace, seconds=plan.seconds) as group:
        if not group.at_rest:
            results.warnings.append(f"{pace.label}: a peer was busy with nothing asked of it")
        await group.warm_up(clients=min(max(plan.clients), _WARM_CLIENTS))
        await _measure_cells(group, plan, results, say)


async def _run_long(plan: Plan, results: Results, say: Say) -> None:
    say(f"starting the answers of {LONG_TOKENS} tokens at {LONG_PACE.label}")
    names, seconds = (peers.MOCK, peers.AXON), plan.seconds * _LONG_WINDOWS
    async with open_peer_group(names, pace=LONG_PACE, seconds=seconds) as group:
        for peer in group.running:
            one = await group.measure(peer, clients=_LONG_CLIENTS, tokens=LONG_TOKENS)
            results.long_answers.append(one)
            say(_line(one))


async def _measure_cells(group: PeerGroup, plan: Plan, results: Results, say: Say) -> None:
    asked = [peer for peer in group.running if peer.name in plan.peers]
    cells = [(clients, tokens) for tokens in plan.tokens for clients in plan.clients]
    for turn, (clients, tokens) in enumerate(cells):
        # Each cell begins with another peer, so that none always follows the same one.
        first = turn % len(asked)
        for peer in asked[first:] + asked[:first]:
            one = await group.measure(peer, clients=clients, tokens=tokens)
            results.measurements.append(one)
            say(_line(one))


def _line(one: Measurement) -> str:
    if one.load.failures:
        return f"FAILED {one.peer}, {one.cell.label}: {one.load.failures[0]}"
    return (
        f"{one.peer}, {one.cell.label}: {one.requests_per_s:.1f}/s, added first token p50 "
        f"{one.added_p50_ms:.1f} p99 {one.added_p99_ms:.1f} ms, {one.total_cpu_ms:.2f} ms CPU"
    )
