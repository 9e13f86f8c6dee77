"""The report of the benchmark of open streams, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.report import bullets, number, table, target_table
from benchmarks.stats import percentile
from benchmarks.streams import plot
from benchmarks.streams.model import Measurement, Plan, rank_ms
from benchmarks.streams.run import failures
from benchmarks.targets import Target

_CROWD, _CORES, _MB, _GAP_MS = 1000, 1.0, 400.0, 150.0
_FLAT = 1.2
_FEW = 100

_DEFINITIONS = """\
- Streams are opened at a steady rate, each on a connection of its own, and last until after the
  window, which begins 2 s after the last one was opened. Every answer is checked to its end, text
  and sequence numbers. Axon's SSE goes to the front's own address.
- Gap: time between two deltas of a stream. Axon joins tokens for up to 100 ms, so that its gaps are
  meant to be longer than a token's time. Late: time by which a delta is later than the stream's own
  pace has its newest token, counted from the stream's most punctual delta.
- Added first token: from the request to the first delta, of all streams, while others are opened;
  less what the mock engine needs for that (p50) when one client asks it directly.
- Cores: CPU time in the window by its length. `gateway`: the process that clients are connected to
  (Axon's front). `all`: all server processes, the mock engine, Valkey, PostgreSQL and the stand-in
  for SQS included. `load`: the load's processes, which share the machine with them.
- ms: CPU milliseconds of all server processes for one second of one stream.
- MB: the gateway's resident memory (RSS) at the end of the window.
- `*`: not all streams were open in the whole window, since their answers began late. Such a cell
  meets no aim."""

_HEADERS = (
    "streams", "peer", "gap p50 ms", "p99 ms", "late p50 ms", "p99 ms", "added first token p50 ms",
    "p99 ms", "deltas/s", "gateway cores", "all cores", "load cores", "gateway ms", "ms", "MB",
    "failed",
)  # fmt: skip
_CPU_HEADERS = ("streams", "peer", "ms of a stream-second by process", "MB by process")


def render(measured: Sequence[Measurement], plan: Plan, head: Iterable[str]) -> str:
    """Return the whole report."""
    ordered = sorted(measured, key=lambda one: (one.streams, plan.peers.index(one.peer)))
    parts = [
        "## Open streams",
        f"{bullets([*head, describe(plan)])}\n{_DEFINITIONS}",
        table(_HEADERS, [_row(one) for one in ordered]),
        table(_CPU_HEADERS, [_cpu_row(one) for one in ordered]),
    ]
    if series := costs(measured):
        parts.append(f"CPU milliseconds for a second of a stream:\n\n```\n{plot.text(series)}\n```")
    parts.append(target_table(evaluate(measured)))
    if broken := failures(measured):
        parts.append("FAILURES\n\n" + bullets(broken))
    return "\n\n".join(parts) + "\n"


def describe(plan: Plan) -> str:
    """Return the plan in one line."""
    return (
        f"{plan.tokens_per_s:g} tokens/s a stream; {plan.opened_per_s:g} opened a second; windows "
        f"of {plan.seconds:g} s; {plan.processes} load processes"
    )


def costs(measured: Sequence[Measurement]) -> dict[str, list[tuple[float, float]]]:
    """Return the cost of a stream-second by the number of streams: of all, and of the gateway."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in sorted(measured, key=lambda one: (one.peer, one.streams)):
        if one.whole:
            for name, cores in (
                (f"{one.peer}: all processes", one.total_cores),
                (f"{one.peer}: {one.gateway}", one.cores(one.gateway)),
            ):
                lines.setdefault(name, []).append((one.streams, one.per_stream(cores)))
    return lines


def evaluate(measured: Sequence[Measurement]) -> list[Target]:
    """Return the targets of Axon's peers. A measurement that is not sound meets none."""
    targets = []
    for name in dict.fromkeys(one.peer for one in measured if one.peer.startswith("axon")):
        by_streams = {one.streams: one for one in measured if one.peer == name}
        targets += [*_crowd(name, by_streams.get(_CROWD)), _flat(name, by_streams)]
    return targets


def _crowd(name: str, one: Measurement | None) -> list[Target]:
    texts = (
        f"{name}: the front at {_CROWD} streams: under {_CORES:g} core",
        f"{name}: the front's memory at {_CROWD} streams: under {_MB:g} MB",
        f"{name}: gap p99 at {_CROWD} streams: under {_GAP_MS:g} ms",
    )
    if one is None:
        return [Target(text, "", None) for text in texts]
    cores, mb, gap_ms = one.cores(one.gateway), one.mb[one.gateway], rank_ms(one.seen.gaps, 99)
    return [
        Target(texts[0], f"{cores:.2f} cores", one.sound and cores < _CORES),
        Target(texts[1], f"{mb:.0f} MB", one.sound and mb < _MB),
        Target(texts[2], f"{gap_ms:.1f} ms", one.sound and gap_ms < _GAP_MS),
    ]


def _flat(name: str, by_streams: Mapping[int, Measurement]) -> Target:
    text = (
        f"{name}: cost of a stream at {_CROWD} streams: at most {_FLAT:g} times that at {_FEW} "
        "(flat)"
    )
    few, crowd = by_streams.get(_FEW), by_streams.get(_CROWD)
    if few is None or crowd is None:
        return Target(text, "", None)
    before, after = (one.per_stream(one.total_cores) for one in (few, crowd))
    figure = f"{after:.2f} against {before:.2f} ms: {after / before:.2f} times"
    return Target(text, figure, few.sound and crowd.sound and after <= _FLAT * before)


def _row(one: Measurement) -> tuple[str, ...]:
    seen = one.seen
    firsts = [percentile(seen.first_tokens_ms, rank) - one.baseline_ms for rank in (50, 99)]
    return (
        str(one.streams) if one.sound else f"{one.streams}*",
        one.peer,
        *(number(rank_ms(seen.gaps, rank)) for rank in (50, 99)),
        *(number(rank_ms(seen.late, rank)) for rank in (50, 99)),
        *map(number, firsts),
        number(seen.deltas / one.window_s),
        f"{one.cores(one.gateway):.2f}",
        f"{one.total_cores:.2f}",
        f"{one.load_cpu_s / one.window_s:.2f}",
        f"{one.per_stream(one.cores(one.gateway)):.3f}",
        f"{one.per_stream(one.total_cores):.3f}",
        f"{one.mb[one.gateway]:.0f}",
        str(one.streams - one.seen.finished),
    )


def _cpu_row(one: Measurement) -> tuple[str, ...]:
    cpu = sorted(((one.per_stream(one.cores(name)), name) for name in one.cpu_s), reverse=True)
    mb = sorted(((mb, name) for name, mb in one.mb.items()), reverse=True)
    return (
        str(one.streams),
        one.peer,
        ", ".join(f"{name} {ms:.3f}" for ms, name in cpu if ms >= 0.001),
        ", ".join(f"{name} {size:.0f}" for size, name in mb),
    )
