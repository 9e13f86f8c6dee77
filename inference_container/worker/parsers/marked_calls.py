"""MarkedCalls: a section whose calls' names and arguments are between markers (DeepSeek, Kimi)."""

import re
from collections.abc import Callable
from enum import Enum, auto

from typing_extensions import override

from worker.parsers.json_value import JsonValue
from worker.parsers.markers import Markers
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece
from worker.parsers.section import Fed, Section

_OPENS = re.compile(r"[{\[]")


class _State(Enum):
    BETWEEN = auto()
    NAME = auto()
    BEFORE_ARGUMENTS = auto()
    ARGUMENTS = auto()
    BEHIND_ARGUMENTS = auto()


class MarkedCalls(Section):
    """Calls of the form ``<begin>NAME<separator>ARGUMENTS<end>``, until a closing marker.

    The arguments are one JSON value. What stands around it, as a fence of Markdown, is left out; an
    answer without any value has called the function without arguments.

    Parameters
    ----------
    begin, separator, end, close : str
        The markers: of a call's beginning, between its name and arguments, of its end, and of the
        section's end.
    name : Callable[[str], str]
        Returns the function's name of what stands before the separator.
    """

    def __init__(
        self,
        *,
        begin: str,
        separator: str,
        end: str,
        close: str,
        name: Callable[[str], str] = str.strip,
    ) -> None:
        self._begin, self._separator = begin, separator
        self._close = close
        self._between = Markers([begin, close])
        self._in_call = Markers([begin, separator, end, close])
        self._name_of = name
        self._state = _State.BETWEEN
        self._held = self._name = ""
        self._value = JsonValue("{")

    @override
    def feed(self, text: str) -> Fed:
        pieces: list[Piece] = []
        text, self._held = self._held + text, ""
        while text:
            if self._state is _State.ARGUMENTS:
                text = self._feed_arguments(text, pieces)
                continue
            markers = self._between if self._state is _State.BETWEEN else self._in_call
            before, marker, rest = markers.split(text)
            if self._state is _State.BEFORE_ARGUMENTS and (found := _OPENS.search(before)):
                self._state, self._value = _State.ARGUMENTS, JsonValue(found[0])
                text = text[found.start() :]
                continue
            if self._state is _State.NAME:
                self._name += before
            if marker is None:
                self._held = rest
                break
            text = rest
            if self._take(marker, pieces):
                return Fed(pieces, rest)
        return Fed(pieces)

    @override
    def end(self) -> list[Piece]:
        return self._end_call()

    def _take(self, marker: str, pieces: list[Piece]) -> bool:
        """Take a marker; return whether it ends the section."""
        if marker != self._separator:
            pieces += self._end_call()
            if marker == self._begin:
                self._state, self._name = _State.NAME, ""
        elif self._state is _State.NAME and (name := self._name_of(self._name)):
            pieces.append(CallBegun(name))
            self._state = _State.BEFORE_ARGUMENTS
        return marker == self._close

    def _end_call(self) -> list[Piece]:
        state, self._state = self._state, _State.BETWEEN
        match state:
            case _State.BEFORE_ARGUMENTS:
                return [Arguments("{}"), CallEnded()]
            case _State.ARGUMENTS | _State.BEHIND_ARGUMENTS:
                return [CallEnded()]
            case _:
                return []

    def _feed_arguments(self, text: str, pieces: list[Piece]) -> str:
        end = self._value.consume(text, 0)
        pieces.append(Arguments(text[:end]))
        if self._value.ended:
            self._state = _State.BEHIND_ARGUMENTS
        return text[end:]
