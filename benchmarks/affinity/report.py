"""The report of the affinity benchmark, as Markdown."""

from collections.abc import Iterable, Sequence

from benchmarks.affinity.model import Leg, Plan
from benchmarks.report import bullets, number, table
from benchmarks.stats import percentile

_DEFINITIONS = """\
- Both legs: the same conversations in the same order, in a local cloud of its own each, and so with
  empty caches. Every turn continues the one before it by previous_response_id and sends its
  conversation's instructions again; turns of different conversations come between.
- Hits: tokens of prompts that vLLM found in its prefix cache, of all that it looked for
  (`vllm:prefix_cache_hits`, `vllm:prefix_cache_queries`), in all workers. Of what repeats: of the
  tokens that the conversation's turn before had, prompt and answer.
- First token: from sending a turn to the first piece of its text, of all turns but the first ones.
- Ratio: with affinity by without."""

_HEADERS = (
    "affinity", "answers by worker", "hits / queries", "hit rate", "of what repeats",
    "first token p50 ms", "p90 ms", "seconds",
)  # fmt: skip


def render(legs: Sequence[Leg], plan: Plan, head: Iterable[str]) -> str:
    """Return the whole report."""
    lines = [*head, describe(plan), *_sizes(legs)]
    rows = [_row(leg) for leg in legs]
    rows.append(_ratios(*legs))
    parts = [
        "## Conversations that stay with their worker",
        f"{bullets(lines)}\n{_DEFINITIONS}",
        table(_HEADERS, rows),
    ]
    return "\n\n".join(parts) + "\n"


def describe(plan: Plan) -> str:
    """Return the plan in one line."""
    return (
        f"{plan.conversations} conversations of {plan.turns} turns, {plan.concurrency} at a time; "
        f"instructions of about {plan.words} words; answers of up to {plan.tokens} tokens; "
        f"{plan.workers} workers"
    )


def hit_rate(leg: Leg) -> float | None:
    """Return hits by queries; None if the engine counts none."""
    return leg.hits / leg.queries if leg.queries else None


def repeat_hit_rate(leg: Leg) -> float | None:
    """Return hits by the tokens that repeat (`Leg.repeated`)."""
    return leg.hits / leg.repeated if leg.queries and leg.repeated else None


def first_ms(leg: Leg, rank: float) -> float:
    """Return a percentile of the follow-ups' time to first token, in milliseconds."""
    moments = (turn.first_token_ms for turn in leg.follow_ups)
    return percentile((ms for ms in moments if ms is not None), rank)


def _sizes(legs: Sequence[Leg]) -> list[str]:
    turns = [turn for leg in legs for turn in leg.turns]
    first = [turn.input_tokens for turn in turns if turn.number == 0]
    silent = sum(turn.first_token_ms is None for turn in turns)
    longest = max(turn.input_tokens for turn in turns)
    lines = [f"Prompts: {percentile(first, 50)} tokens at first (p50), {longest} at most"]
    return [*lines, f"Answers without text: {silent}"] if silent else lines


def _row(leg: Leg) -> tuple[str, ...]:
    return (
        "true" if leg.affinity else "false",
        ", ".join(f"{name} {one.answers:.0f}" for name, one in sorted(leg.counters.items())),
        f"{leg.hits:.0f} / {leg.queries:.0f}" if leg.queries else "-",
        _share(hit_rate(leg)),
        _share(repeat_hit_rate(leg)),
        number(first_ms(leg, 50)),
        number(first_ms(leg, 90)),
        number(leg.seconds),
    )


def _ratios(kept: Leg, free: Leg) -> tuple[str, ...]:
    return (
        "ratio",
        "",
        "",
        _ratio(hit_rate(kept), hit_rate(free)),
        _ratio(repeat_hit_rate(kept), repeat_hit_rate(free)),
        _ratio(first_ms(kept, 50), first_ms(free, 50)),
        _ratio(first_ms(kept, 90), first_ms(free, 90)),
        _ratio(kept.seconds, free.seconds),
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ratio(kept: float | None, free: float | None) -> str:
    return f"{kept / free:.2f}" if kept is not None and free else "-"
