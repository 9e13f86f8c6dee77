"""Targets of the main benchmark: added time to first token, throughput, long answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.model import Measurement
from benchmarks.peers import AXON, LITELLM_2

_FIRST_TOKEN_MS = 15.0
_LONG_POSTS = 90
_LONG_GAP_MS = 50.0
_TIMES_LITELLM = {16: 1.0, 128: 4.0}


@dataclass(frozen=True, slots=True)
class Target:
    """A target and its result.

    Parameters
    ----------
    text : str
        The target in words.
    figure : str
        The measured value in words; empty if there is none.
    met : bool | None
        None if nothing was measured.
    """

    text: str
    figure: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """Return the verdict in words, as reports show it."""
        return {True: "met", False: "NOT MET", None: "not measured"}[self.met]


def evaluate(measured: Sequence[Measurement], long_answers: Iterable[Measurement]) -> list[Target]:
    """Return every target with its result. A failed measurement meets none."""
    pairs = _pairs(measured)
    alone = [one for one in measured if one.peer == AXON and one.cell.clients == 1]
    crowded = [(axon, lite) for axon, lite in pairs if axon.cell.clients >= 16]
    targets = [_first_token(alone), _first_token_p99(crowded)]
    targets += [_throughput(pairs, tokens, times) for tokens, times in _TIMES_LITELLM.items()]
    return targets + _long([one for one in long_answers if one.peer == AXON])


def _pairs(measured: Iterable[Measurement]) -> list[tuple[Measurement, Measurement]]:
    """Return Axon's measurement and LiteLLM's (2 workers) of each cell without LiteLLM failures."""
    measured = list(measured)
    lite = {one.cell: one for one in measured if one.peer == LITELLM_2 and sound([one])}
    return [(a, lite[a.cell]) for a in measured if a.peer == AXON and a.cell in lite]


def _first_token(alone: Sequence[Measurement]) -> Target:
    text = f"added time to first token, p50 at 1 client, worst cell: under {_FIRST_TOKEN_MS:g} ms"
    if not alone:
        return Target(text, "", None)
    worst = max(alone, key=lambda one: one.added_p50_ms)
    figure = f"{worst.added_p50_ms:.1f} ms ({worst.cell.label})"
    return Target(text, figure, sound(alone) and worst.added_p50_ms < _FIRST_TOKEN_MS)


def _first_token_p99(crowded: Sequence[tuple[Measurement, Measurement]]) -> Target:
    text = "added time to first token, p99 from 16 clients up: below LiteLLM's (2 workers)"
    if not crowded:
        return Target(text, "", None)
    below = [a.added_p99_ms < b.added_p99_ms and sound([a]) for a, b in crowded]
    axon, lite = max(crowded, key=lambda pair: pair[0].added_p99_ms / pair[1].added_p99_ms)
    figure = (
        f"{sum(below)} of {len(below)} cells; nearest or worst {axon.added_p99_ms:.1f} against "
        f"{lite.added_p99_ms:.1f} ms ({axon.cell.label})"
    )
    return Target(text, figure, all(below))


def _throughput(
    pairs: Sequence[tuple[Measurement, Measurement]], tokens: int, times: float
) -> Target:
    size = f"64 clients, {tokens} tokens, full speed"
    text = f"requests/s at {size}: at least {times:g} times LiteLLM's (2 workers)"
    for axon, lite in pairs:
        cell = axon.cell
        if (cell.clients, cell.tokens, cell.pace.ttft_ms, cell.pace.token_ms) == (64, tokens, 0, 0):
            ratio = axon.requests_per_s / lite.requests_per_s
            figure = (
                f"{axon.requests_per_s:.0f} against {lite.requests_per_s:.0f}: {ratio:.2f} times"
            )
            return Target(text, figure, sound([axon]) and ratio >= times)
    return Target(text, "", None)


def _long(answers: Sequence[Measurement]) -> list[Target]:
    posts = f"500 tokens at 50 tokens/s, posts of the costliest answer: at most {_LONG_POSTS}"
    rhythm = f"its deltas in the first second, p99 of the largest gaps: at most {_LONG_GAP_MS:g} ms"
    if not answers:
        return [Target(posts, "", None), Target(rhythm, "", None)]
    seen, right = answers[0].load, sound(answers)
    gap = seen.first_second_gap_p99_ms
    return [
        Target(posts, f"{seen.frames_max}", right and seen.frames_max <= _LONG_POSTS),
        Target(rhythm, f"{gap:.1f} ms", right and gap <= _LONG_GAP_MS),
    ]


def sound(measured: Iterable[Measurement]) -> bool:
    """Return whether measurements have answers, and none that was wrong."""
    return all(one.load.finished and not one.load.failures for one in measured)
