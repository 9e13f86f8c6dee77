"""How much of a conversation fits the context window: what may be left out, and the search."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from axon.conversations import Turn

_CHARACTERS_A_TOKEN = 4
# A longer conversation is taken not to fit as a whole, which is then not even tried.
_MOST_CHARACTERS_A_TOKEN = 8
_GUESSES = 6


def input_limit(*, context_window: int, max_output_tokens: int, asked: int | None) -> int:
    """Return the tokens that history may fill a prompt up to; the others are the answer's.

    The answer gets what the request asked for, at most half of the window, or a quarter of it if
    the request asked for nothing; and in either case no more than the model makes.
    """
    share = context_window // 4 if asked is None else min(asked, context_window // 2)
    return context_window - max(1, min(share, max_output_tokens))


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
    """Return the first turn that each turn needs: its own, or one whose calls it has outputs of."""
    made: dict[str, int] = {}  # an id may come again: an output is of the last call with it
    needed = list(range(len(turns)))
    for number, items in enumerate(turns):
        for item in items:
            if item.get("type") == "function_call":
                made[item["call_id"]] = number
            elif item.get("type") == "function_call_output":
                needed[number] = min(needed[number], made.get(item["call_id"], number))
    return needed


class Search:
    """Looks for the first of several prompts, each shorter than the one before it, that fits.

    Only a prompt's real number of tokens says whether it fits. The first few probes are where it
    should be by the last one's tokens a character, which for a long conversation saves rendering
    most of it; the others bisect.

    Parameters
    ----------
    sizes
        Each prompt's length in characters, about.
    limit
        The tokens that a prompt may have.
    """

    def __init__(self, sizes: Sequence[int], *, limit: int) -> None:
        self._sizes = sizes
        self._limit = limit
        self._too_long, self._fits = -1, len(sizes)
        self._guesses = _GUESSES
        enormous = sizes[0] > limit * _MOST_CHARACTERS_A_TOKEN
        self._guess = self._first_of(limit * _CHARACTERS_A_TOKEN) if enormous else 0

    @property
    def found(self) -> bool:
        """Whether any prompt fits, as far as is known."""
        return self._fits < len(self._sizes)

    @property
    def probe(self) -> int | None:
        """The prompt to measure next; None when the last one that fits is the answer.

        If none fits, the last that was measured is the shortest.
        """
        first, last = self._too_long + 1, self._fits - 1
        if first > last:
            return None
        return min(max(self._guess, first), last) if self._guesses else (first + last) // 2

    def tell(self, probe: int, tokens: int) -> bool:
        """Take a probe's number of tokens; return whether it fits."""
        fits = tokens <= self._limit
        if fits:
            self._fits = probe
        else:
            self._too_long = probe
        self._guesses = max(0, self._guesses - 1)
        self._guess = self._first_of(self._limit * self._sizes[probe] // max(tokens, 1))
        return fits

    def _first_of(self, characters: int) -> int:
        """Return the first prompt with at most so many characters."""
        return bisect_left(self._sizes, -characters, key=lambda size: -size)
