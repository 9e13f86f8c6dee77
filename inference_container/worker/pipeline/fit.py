"""Fitting a conversation into the context window: which turns may be left out, and the search."""

from bisect import bisect_left
from collections.abc import Sequence
from math import log2
from typing import Any

from axon.conversations import Turn
from axon.inputs import CALLS, OUTPUTS

# Mean of English text (OpenAI's rule of thumb: one token is about four characters).
_CHARACTERS_PER_TOKEN = 4
# A conversation with more characters is assumed not to fit: its full prompt is never rendered.
_MAX_CHARACTERS_PER_TOKEN = 8
# Steps of a window in which turns are left out. A prompt may have half of the window to all of it
# (`input_limit`), so a step frees a quarter to half of it, and the prompt grows again from there.
_STEPS = 4
# Probes that follow the estimate; further ones bisect, which bounds their number.
_ESTIMATED_PROBES = 6


def input_limit(*, context_window: int, max_output_tokens: int, asked: int | None) -> int:
    """Return how many tokens a prompt with earlier turns may have; the others are the answer's.

    The answer gets what the request asked for, at most half of the window, or a quarter of it if
    the request asked for nothing; in either case no more than the model can generate.

    Parameters
    ----------
    context_window : int
        Tokens of prompt and answer together that the model can process.
    max_output_tokens : int
        Longest answer of the model, in tokens.
    asked : int | None
        The request's `max_output_tokens`.
    """
    share = context_window // 4 if asked is None else min(asked, context_window // 2)
    return context_window - max(1, min(share, max_output_tokens))


def stepped(
    places: Sequence[int], sizes: Sequence[int], *, least: int, tokens: int, window: int
) -> int:
    """Return the first place, from `least` on, that is the first one of its step.

    Engines keep the beginning of a prompt in their prefix cache, and a prompt without one more turn
    has another beginning. So turns are left out in steps of a quarter of the window, counted from
    the beginning of the conversation: the next requests leave out the same turns, until the
    conversation has grown by a step. This follows from the conversation alone. Attempts, workers
    and later turns find the same place, and nothing has to be remembered.

    Parameters
    ----------
    places : Sequence[int]
        Numbers of oldest turns that may be left out, fewest first (`cuts`).
    sizes : Sequence[int]
        Characters of the prompts without 0, 1, 2, ... of the oldest turns.
    least : int
        The smallest of the places with which the prompt fits.
    tokens : int
        Tokens of that prompt.
    window : int
        The model's context window, in tokens.
    """
    step = _step(characters=sizes[least], tokens=tokens, window=window)
    steps = [(sizes[0] - sizes[place]) // step for place in places]
    for before, after in zip(range(len(places)), range(1, len(places)), strict=False):
        if places[after] >= least and steps[after] > steps[before]:
            return places[after]
    return least  # less than a step is left


def _step(*, characters: int, tokens: int, window: int) -> float:
    """Return the length of a step, in characters.

    Tokens per character differ from text to text, and a bit from turn to turn; steps that followed
    them would move with each turn. So the length is that of English text, doubled or halved only
    where the prompt's tokens are far from it. The doubled steps begin at places of the single ones.
    """
    english = max(tokens, 1) * _CHARACTERS_PER_TOKEN / max(characters, 1)
    return max(1.0, _CHARACTERS_PER_TOKEN * window / _STEPS / 2.0 ** round(log2(english)))


def cuts(turns: Sequence[Turn], items: Sequence[dict[str, Any]]) -> list[int]:
    """Return how many of the oldest turns may be left out, fewest first.

    A function call and its output stay together, also where they are of different turns or the
    output is one of the request's own items.
    """
    needed = _needed([*([*turn.input, *turn.output] for turn in turns), items])
    allowed = []
    earliest = len(turns)
    for number in reversed(range(len(needed))):
        earliest = min(earliest, needed[number])
        if earliest == number:
            allowed.append(number)
    return allowed[::-1]


def _needed(turns: Sequence[Sequence[dict[str, Any]]]) -> list[int]:
    """Return for each turn the first one it needs: itself, or one whose calls it has outputs of."""
    made: dict[str, int] = {}  # an id may come again: an output is of the last call with it
    needed = list(range(len(turns)))
    for number, items in enumerate(turns):
        for item in items:
            if item.get("type") in CALLS:
                made[item["call_id"]] = number
            elif item.get("type") in OUTPUTS:
                needed[number] = min(needed[number], made.get(item["call_id"], number))
    return needed


class Search:
    """A search for the first prompt that fits, of several that get shorter.

    Only the number of tokens of a rendered prompt decides, and rendering is expensive. The first
    few probes are estimated from the last prompt's tokens per character, which for a long
    conversation saves rendering most of it; further ones bisect.

    Parameters
    ----------
    sizes : Sequence[int]
        Approximate length of each prompt, in characters.
    limit : int
        Tokens that a prompt may have.
    """

    def __init__(self, sizes: Sequence[int], *, limit: int) -> None:
        self._sizes = sizes
        self._limit = limit
        self._too_long, self._fits = -1, len(sizes)
        self._guesses = _ESTIMATED_PROBES
        enormous = sizes[0] > limit * _MAX_CHARACTERS_PER_TOKEN
        self._guess = self._first_of(limit * _CHARACTERS_PER_TOKEN) if enormous else 0

    @property
    def found(self) -> bool:
        """Return whether a prompt that fits was found so far."""
        return self._fits < len(self._sizes)

    @property
    def probe(self) -> int | None:
        """Index of the prompt to measure next; None when the search is over.

        The result is the last prompt that was measured to fit. If none fits, the last one that was
        measured is the shortest.
        """
        first, last = self._too_long + 1, self._fits - 1
        if first > last:
            return None
        return min(max(self._guess, first), last) if self._guesses else (first + last) // 2

    def record(self, probe: int, tokens: int) -> bool:
        """Record the number of tokens of a probe; return whether it fits."""
        fits = tokens <= self._limit
        if fits:
            self._fits = probe
        else:
            self._too_long = probe
        self._guesses = max(0, self._guesses - 1)
        self._guess = self._first_of(self._limit * self._sizes[probe] // max(tokens, 1))
        return fits

    def _first_of(self, characters: int) -> int:
        """Return the first prompt with at most `characters` characters."""
        return bisect_left(self._sizes, -characters, key=lambda size: -size)
