"""The report of the overload benchmark, as Markdown."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from benchmarks.overload.model import COMPLETED, LOST, FloodResult, Plan, Results, Sample
from benchmarks.report import bullets, number, table, target_table
from benchmarks.targets import Target

_ROWS = 12
_FLAT, _MOST_MB = 1.05, 500.0
_UNCHANGED = 0.95

_DEFINITIONS = """\
- Clients: WebSocket connections that carry many responses at a time, told apart by stream_id. Each
  response's numbers, text and end are checked. The next request is sent when one of the last 256 is
  confirmed by its first event.
- Answers/s: completed responses, from the first request's acceptance to the last completed one's
  end. Before: with twice as many clients as the engine has slots, each with one request at a time.
  Capacity: the slots by the time that the echo engine takes for an answer.
- Waiting: requests in the queues of the worker's stages. MB: resident memory (RSS)."""

_HEADERS = (
    "second", "accepted", "completed", "completed/s", "failed", "waiting", "worker MB", "relay MB",
    "valkey MB",
)  # fmt: skip


def render(results: Results, head: Iterable[str]) -> str:
    """Return the whole report."""
    seen, plan = results.seen, results.plan
    ordered = sorted(seen.outcomes.items(), key=lambda pair: -pair[1])
    parts = [
        f"## Overload: {plan.jobs} requests in a flood",
        f"{bullets([*head, describe(plan)])}\n{_DEFINITIONS}",
        table(("outcome", "responses"), [(name, str(count)) for name, count in ordered]),
        _shed(results),
        table(_HEADERS, [_row(sample, seen, results.samples) for sample in _some(results.samples)]),
        target_table(evaluate(results)),
    ]
    if seen.wrong:
        parts.append("FAILURES\n\n" + bullets(seen.wrong))
    return "\n\n".join(parts) + "\n"


def _shed(results: Results) -> str:
    if not results.shed:
        return "No queue of the worker has turned a request away."
    rows = [(*key, f"{count:.0f}") for key, count in sorted(results.shed.items())]
    return table(("turned away by", "reason", "times"), rows)


def describe(plan: Plan) -> str:
    """Return the plan in one line."""
    return (
        f"{plan.connections} connections; answers of {plan.tokens} tokens at {plan.pace.label}; "
        f"{plan.slots} slots, so {plan.capacity:.1f} answers/s; deadline {plan.deadline_s:g} s; "
        f"AXON_PREFETCH={plan.prefetch}"
    )


def evaluate(results: Results) -> list[Target]:
    """Return the targets with their results."""
    return [_ended(results), *_memory(results), *_throughput(results)]


def flood_rate(seen: FloodResult) -> float:
    """Return completed responses per second, from the first acceptance to the last end."""
    if not seen.completed_at:
        return 0.0
    return len(seen.completed_at) / (max(seen.completed_at) - min(seen.accepted_at))


def _ended(results: Results) -> Target:
    seen = results.seen
    asked, lost = sum(seen.outcomes.values()), seen.outcomes.get(LOST, 0)
    text = "every response has one end and is right in all its events"
    figure = (
        f"{asked} asked: {seen.outcomes.get(COMPLETED, 0)} completed, {lost} lost, "
        f"{len(seen.wrong)} wrong"
    )
    return Target(text, figure, asked == results.plan.jobs and not lost and not seen.wrong)


def _memory(results: Results) -> list[Target]:
    flat = f"the worker's largest memory, second half of the flood to first: at most {_FLAT:g}"
    most = f"the worker's largest memory: under {_MOST_MB:g} MB"
    mb = [sample.mb["worker-0"] for sample in results.samples]
    if len(mb) < 2:
        return [Target(flat, "", None), Target(most, "", None)]
    first, second = max(mb[: len(mb) // 2]), max(mb[len(mb) // 2 :])
    figure = f"{first:.0f} MB, then {second:.0f} MB: {second / first:.3f}"
    return [
        Target(flat, figure, second / first <= _FLAT),
        Target(most, f"{max(mb):.0f} MB; {results.idle_mb:.0f} MB idle", max(mb) < _MOST_MB),
    ]


def _throughput(results: Results) -> list[Target]:
    rate, before, capacity = (
        flood_rate(results.seen),
        results.before.requests_per_s,
        results.plan.capacity,
    )
    text = f"answers/s in the flood: at least {_UNCHANGED:g} of those before it"
    figure = f"{rate:.1f} against {before:.1f}: {rate / before:.3f}"
    share = f"{rate / capacity:.3f}; before {before / capacity:.3f}"
    return [
        Target(text, figure, rate / before >= _UNCHANGED),
        Target("answers/s in the flood, as a share of the engine's capacity", share, None),
    ]


def _some(samples: Sequence[Sample]) -> list[Sample]:
    """Return about a dozen of them, evenly spaced, with the last one."""
    step = max(len(samples) // _ROWS, 1)
    return list(samples[::-1][::step])[::-1]


def _row(sample: Sample, seen: FloodResult, samples: Sequence[Sample]) -> tuple[str, ...]:
    chosen = _some(samples)
    place = chosen.index(sample)
    since = chosen[place - 1].second if place else 0.0
    completed = _until(seen.completed_at, sample.second)
    lately = completed - _until(seen.completed_at, since)
    length = sample.second - since
    return (
        f"{sample.second:.0f}",
        str(_until(seen.accepted_at, sample.second)),
        str(completed),
        number(lately / length) if length else "-",
        str(_until(seen.failed_at, sample.second)),
        f"{sample.waiting:.0f}",
        *(f"{sample.mb[name]:.0f}" for name in ("worker-0", "relay-0", "valkey")),
    )


def _until(moments: Sequence[float], second: float) -> int:
    return bisect_right(sorted(moments), second)
