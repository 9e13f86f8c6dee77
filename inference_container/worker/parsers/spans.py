"""Spans: where the reasoning of an answer stands in its text."""

from bisect import bisect_left
from collections.abc import Sequence


class Spans:
    """Parts of a text, by the characters at which they begin and end; the last one may be open."""

    def __init__(self) -> None:
        self._borders: list[int] = []

    @property
    def open(self) -> bool:
        """True if the text so far ends inside a part."""
        return len(self._borders) % 2 == 1

    def begin(self, at: int) -> None:
        """Begin a part; the one before has ended."""
        self._borders.append(at)

    def end(self, at: int) -> None:
        """End the open part."""
        self._borders.append(at)

    def count(self, tokens: Sequence[int]) -> int:
        """Return how many tokens begin inside a part.

        Parameters
        ----------
        tokens : Sequence[int]
            The characters before each token of the text, in order.
        """
        before = [bisect_left(tokens, border) for border in self._borders]
        if self.open:
            before.append(len(tokens))
        return sum(before[1::2]) - sum(before[::2])
