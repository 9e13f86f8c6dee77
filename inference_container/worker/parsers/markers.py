"""Markers: strings that divide an answer, found although they arrive in parts."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Split(NamedTuple):
    """A text, divided at the first marker.

    Parameters
    ----------
    before : str
        The text before it; without a marker, all that none can begin in.
    marker : str | None
        The marker; None if there is no whole one.
    rest : str
        What follows the marker; without one, the end that may be the beginning of a marker.
    """

    before: str
    marker: str | None
    rest: str


class Markers:
    """A set of markers. None may begin with another one.

    Parameters
    ----------
    markers : Iterable[str]
        The markers, of one character at least.

    Raises
    ------
    ValueError
        One marker is the beginning of another: which of them a text contains would depend on how
        much of it has arrived.
    """

    def __init__(self, markers: Iterable[str]) -> None:
        self._markers = sorted(set(markers))
        for marker in self._markers:
            if any(each != marker and each.startswith(marker) for each in self._markers):
                raise ValueError(f"{marker!r} is the beginning of another marker")
        pattern = "|".join(map(re.escape, self._markers))
        # Without markers: a pattern that matches nothing.
        self._pattern = re.compile(pattern or r"(?!)")
        self._longest = max(map(len, self._markers), default=1)

    def split(self, text: str) -> Split:
        """Divide a text at the first marker in it."""
        if found := self._pattern.search(text):
            return Split(text[: found.start()], found[0], text[found.end() :])
        held = self._held(text)
        return Split(text[:held], None, text[held:])

    def _held(self, text: str) -> int:
        """Return the index of the earliest end of the text that a marker begins with."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            end = text[start:]
            if any(marker.startswith(end) for marker in self._markers):
                return start
        return len(text)
