"""XmlCalls: a section whose calls are elements, one for each argument (Qwen3-Coder)."""

import json
from enum import Enum, auto

from typing_extensions import override

from worker.parsers.markers import Markers
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece
from worker.parsers.section import Fed, Section, Tools

FUNCTION = "<function="
_PARAMETER = "<parameter="
_CLOSE = "</tool_call>"
_END_FUNCTION, _END_PARAMETER = "</function>", "</parameter>"


class _State(Enum):
    BETWEEN = auto()
    NAME = auto()
    FUNCTION = auto()
    KEY = auto()
    VALUE = auto()


_MARKERS = {
    _State.BETWEEN: Markers([FUNCTION, _CLOSE]),
    _State.NAME: Markers([">"]),
    _State.FUNCTION: Markers([_PARAMETER, _END_FUNCTION, _CLOSE]),
    _State.KEY: Markers([">"]),
    _State.VALUE: Markers([_END_PARAMETER, _PARAMETER, _END_FUNCTION, _CLOSE]),
}


class XmlCalls(Section):
    """Calls of the form ``<function=NAME><parameter=KEY>VALUE</parameter></function>``.

    The arguments are made as one JSON object. A value that the schema calls a string, or of which
    it says nothing, is passed on as it comes, others when they are whole.

    Parameters
    ----------
    tools : Tools
        Their schemas name the type of each value.
    begun : bool
        The marker that began the section was that of a call, not the one around all calls.
    """

    def __init__(self, *, tools: Tools, begun: bool) -> None:
        self._tools = tools
        self._bare = begun
        self._state = _State.NAME if begun else _State.BETWEEN
        self._held = self._text = self._name = ""
        self._keys = 0
        self._value: _Value | None = None

    @override
    def feed(self, text: str) -> Fed:
        pieces: list[Piece] = []
        text, self._held = self._held + text, ""
        while text:
            before, marker, rest = _MARKERS[self._state].split(text)
            self._take_text(before, pieces)
            if marker is None:
                self._held = rest
                break
            text = rest
            if self._take(marker, pieces):
                return Fed(pieces, rest)
        return Fed(pieces)

    @override
    def end(self) -> list[Piece]:
        pieces: list[Piece] = []
        self._take_text(self._held, pieces)
        self._end_call(pieces)
        return pieces

    def _take_text(self, text: str, pieces: list[Piece]) -> None:
        match self._state:
            case _State.NAME | _State.KEY:
                self._text += text
            case _State.VALUE if self._value is not None:
                pieces.append(Arguments(self._value.feed(text)))

    def _take(self, marker: str, pieces: list[Piece]) -> bool:
        """Take a marker; return whether it ends the section."""
        match marker:
            case ">" if self._state is _State.NAME:
                self._begin_call(pieces)
            case ">":
                self._begin_value(pieces)
            case "<function=":
                self._state, self._text = _State.NAME, ""
            case "<parameter=":
                self._end_value(pieces)
                self._state, self._text = _State.KEY, ""
            case "</parameter>":
                self._end_value(pieces)
            case _:
                self._end_call(pieces)
                return marker == _CLOSE or self._bare
        return False

    def _begin_call(self, pieces: list[Piece]) -> None:
        self._name, self._keys, self._state = self._text.strip(), 0, _State.FUNCTION
        pieces += [CallBegun(self._name), Arguments("{")]

    def _begin_value(self, pieces: list[Piece]) -> None:
        key = self._text.strip()
        properties = self._tools.get(self._name, {}).get("properties", {})
        self._value = _Value(_types(properties.get(key)))
        comma = ", " if self._keys else ""
        self._keys += 1
        pieces.append(
            Arguments(f"{comma}{json.dumps(key, ensure_ascii=False)}: {self._value.open}")
        )
        self._state = _State.VALUE

    def _end_value(self, pieces: list[Piece]) -> None:
        if self._value is not None:
            pieces.append(Arguments(self._value.end()))
            self._value = None
        self._state = _State.FUNCTION

    def _end_call(self, pieces: list[Piece]) -> None:
        if self._state in (_State.BETWEEN, _State.NAME):
            return
        self._end_value(pieces)
        pieces += [Arguments("}"), CallEnded()]
        self._state = _State.BETWEEN


class _Value:
    """A value as JSON. One line break at its beginning and one at its end belong to the format."""

    def __init__(self, types: frozenset[str]) -> None:
        self._streams = not types or "string" in types
        self._first = True
        self._break = ""
        self._kept = ""
        self.open = '"' if self._streams else ""

    def feed(self, text: str) -> str:
        """Return what can be passed on of the value's next text."""
        if self._first and text:
            self._first = False
            text = text.removeprefix("\n")
        text, self._break = self._break + text, ""
        if not self._streams:
            self._kept += text
            return ""
        if text.endswith("\n"):
            text, self._break = text[:-1], "\n"
        return _escaped(text)

    def end(self) -> str:
        """Return the rest of the value."""
        if self._streams:
            return '"'
        text = self._kept.strip()
        try:
            json.loads(text)
        except ValueError:
            return json.dumps(text, ensure_ascii=False)
        return text


def _types(schema: object) -> frozenset[str]:
    """Return the types that a schema names."""
    types = schema.get("type", ()) if isinstance(schema, dict) else ()
    return frozenset([types] if isinstance(types, str) else types)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
