"""Parsers of whole answers: text, reasoning and calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from typing_extensions import override

from worker.parsers.markers import Markers
from worker.parsers.pieces import Piece, Reasoning, Text, merged
from worker.parsers.section import Section
from worker.parsers.spans import Spans


class AnswerParser(Protocol):
    """Finds the pieces of one answer, which arrives in parts."""

    reasoning: Spans
    """The parts of the text so far that are reasoning, with their markers."""

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that the next text completes; never any that a later text changes."""
        ...

    def end(self) -> list[Piece]:
        """Return what is left, as the answer ends here. Nothing may be fed behind it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningFormat:
    """The markers between which a model thinks.

    Parameters
    ----------
    begin, end : str
        The markers.
    opened : bool
        The prompt has ended with the first marker, so that the answer begins behind it.
    """

    begin: str
    end: str
    opened: bool = False


@dataclass(frozen=True, slots=True)
class CallFormat:
    """The markers that begin sections of calls, with makers of the sections.

    Parameters
    ----------
    sections : Mapping[str, Callable[[], Section]]
        The maker, by marker.
    at_start : Mapping[str, Callable[[], Section]]
        The same of markers that begin a section only where an answer begins.
    """

    sections: Mapping[str, Callable[[], Section]]
    at_start: Mapping[str, Callable[[], Section]]


class _Mode(Enum):
    REASONING = auto()
    TEXT = auto()
    SECTION = auto()


class _Place(NamedTuple):
    """The state of an answer's text before a marker, as `MarkedAnswer` keeps it."""

    begun: bool
    divided: bool
    space: str


class MarkedAnswer(AnswerParser):
    """An answer whose reasoning and calls stand between markers, in its text.

    White space beside them belongs to the format, and is in no piece. Reasoning begins only where
    no text stands before it, so that a text about its markers stays text.

    Parameters
    ----------
    calls : CallFormat | None
        How the model writes calls; None to take them for text.
    reasoning : ReasoningFormat | None
        How it thinks; None if it does not.
    """

    def __init__(self, *, calls: CallFormat | None, reasoning: ReasoningFormat | None) -> None:
        self.reasoning = Spans()
        self._format = reasoning
        self._fed = 0
        """Characters of the answer so far."""
        self._sections = dict(calls.sections) if calls else {}
        at_start = dict(calls.at_start) if calls else {}
        begins = [reasoning.begin] if reasoning else []
        self._first = Markers([*self._sections, *at_start, *begins])
        self._later = Markers(self._sections)
        self._end = Markers([reasoning.end] if reasoning else [])
        self._sections |= at_start
        self._mode = _Mode.TEXT
        if reasoning and reasoning.opened:
            self._mode = _Mode.REASONING
            self.reasoning.begin(0)
        self._section: Section | None = None
        self._before_section: _Place | None = None
        self._held = self._space = ""
        self._begun = False
        """True once the current text or reasoning has a character that is no white space."""
        self._divided = self._mode is _Mode.REASONING
        """True once the answer has a marker: white space behind one is no text."""

    @override
    def feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        self._fed += len(text)
        text, self._held = self._held + text, ""
        while text:
            if self._section is not None:
                fed = self._section.feed(text)
                self._add_section(fed.pieces, pieces)
                if fed.rest is None:
                    break
                self._section, text = None, fed.rest
            else:
                text = self._feed_text(text, pieces)
        return merged(pieces)

    @override
    def end(self) -> list[Piece]:
        pieces: list[Piece] = []
        if self._section is not None:
            self._add_section(self._section.end(), pieces)
        else:
            self._add(self._held, pieces)
        if self._mode is _Mode.TEXT and (self._begun or not self._divided):
            pieces.append(Text(self._space))
        return merged(pieces)

    def _feed_text(self, text: str, pieces: list[Piece]) -> str:
        """Take text up to the next marker; return what follows that."""
        markers = self._end
        if self._mode is _Mode.TEXT:
            markers = self._later if self._begun else self._first
        before, marker, rest = markers.split(text)
        if self._mode is _Mode.TEXT and not self._begun and before.strip():
            # Text has begun: of the markers behind it, those of an answer's beginning are text.
            index = len(before) - len(before.lstrip()) + 1
            self._add(text[:index], pieces)
            return text[index:]
        self._add(before, pieces)
        if marker is None:
            self._held = rest
            return ""
        self._take(marker, self._fed - len(rest))
        return rest

    def _take(self, marker: str, at: int) -> None:
        """Take a marker that ends at this character of the answer."""
        before = _Place(self._begun, self._divided, self._space)
        self._begun, self._divided, self._space = False, True, ""
        if self._mode is _Mode.REASONING:
            self._mode = _Mode.TEXT
            self.reasoning.end(at)
        elif self._format is not None and marker == self._format.begin:
            self._mode = _Mode.REASONING
            self.reasoning.begin(at - len(marker))
        else:
            self._section, self._before_section = self._sections[marker](), before

    def _add_section(self, found: list[Piece], pieces: list[Piece]) -> None:
        """Add the pieces of a section; one that is text goes on with the text before it."""
        for piece in found:
            if isinstance(piece, Text):
                if self._before_section is not None:
                    self._begun, self._divided, self._space = self._before_section
                self._add(piece.text, pieces)
            else:
                pieces.append(piece)
            self._before_section = None

    def _add(self, text: str, pieces: list[Piece]) -> None:
        """Add text or reasoning; white space at its end waits for what follows."""
        stripped = text.rstrip()
        if not stripped:
            self._space += text
            return
        if not self._begun and self._divided:
            # The white space behind a marker belongs to the format.
            self._space, stripped = "", stripped.lstrip()
        kind = Reasoning if self._mode is _Mode.REASONING else Text
        pieces.append(kind(self._space + stripped))
        self._space, self._begun = text[len(text.rstrip()) :], True
