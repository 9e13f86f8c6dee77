"""Section: a part of an answer that contains calls."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

from axon.protocol.objects import Json
from worker.parsers.pieces import Piece

Tools: TypeAlias = Mapping[str, Json]
"""JSON schemas of functions' parameters, by the functions' names."""


class Fed(NamedTuple):
    """The result of feeding a section with a text.

    Parameters
    ----------
    pieces : list[Piece]
        The pieces.
    rest : str | None
        The text behind the section, once it has ended; None before.
    """

    pieces: list[Piece]
    rest: str | None = None


class Section(Protocol):
    """A part of an answer with calls, behind the marker that begins it."""

    def feed(self, text: str) -> Fed:
        """Return the pieces of the next text, and what follows the section if it has ended."""
        ...

    def end(self) -> list[Piece]:
        """Return the pieces of a section that is cut off here, as the answer ends."""
        ...
