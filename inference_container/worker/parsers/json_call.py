"""JsonCall: one call as a JSON object, ``{"name": ..., "arguments": {...}}``."""

import json
from collections.abc import Container
from enum import Enum, auto

from worker.parsers.json_value import JsonValue, skip_space
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece

_NAMES = ("name", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args")


class _State(Enum):
    KEY = auto()
    IN_KEY = auto()
    COLON = auto()
    VALUE = auto()
    IN_VALUE = auto()
    NEXT = auto()


class JsonCall:
    """Reads one call; its arguments are passed on as they come, once its name is known.

    Names of fields are those that models were trained with: `name` or `function`, `arguments` or
    `parameters`. Other fields are ignored. OpenAI's form, with both inside `function`, is read.

    Parameters
    ----------
    names : Container[str] | None
        The only names that make the object a call; None if any name does.

    Attributes
    ----------
    ended : bool
        True once the object has ended, or cannot be one.
    failed : bool
        True if it cannot be one.
    """

    def __init__(self, names: Container[str] | None = None) -> None:
        self._names = names
        self.ended = False
        self.failed = False
        self._state = _State.KEY
        self._nested = 0
        self._key = ""
        self._value = JsonValue('"')
        self._kept: list[str] = []
        self._name: str | None = None
        self._arguments: str | None = None
        self._streams = False
        self._raw = ["{"]

    @property
    def begun(self) -> bool:
        """True once the name is known."""
        return self._name is not None

    @property
    def raw(self) -> str:
        """The object's text, as long as it has no name: it may be no call at all."""
        return "".join(self._raw)

    def feed(self, text: str, start: int) -> tuple[list[Piece], int]:
        """Consume what belongs to the object, behind its opening brace.

        Returns
        -------
        tuple[list[Piece], int]
            The pieces, and the index behind what was consumed.
        """
        pieces: list[Piece] = []
        index = start
        while index < len(text) and not self.ended:
            index = self._step(text, index, pieces)
        if not self.begun:
            self._raw.append(text[start:index])
        return pieces, index

    def end(self) -> list[Piece]:
        """Return the pieces of an object that is cut off here."""
        return [] if self.ended or not self.begun else [CallEnded()]

    def _step(self, text: str, index: int, pieces: list[Piece]) -> int:
        match self._state:
            case _State.IN_KEY | _State.IN_VALUE:
                return self._consume(text, index, pieces)
            case _:
                index = skip_space(text, index)
                return index if index == len(text) else self._structure(text, index, pieces)

    def _structure(self, text: str, index: int, pieces: list[Piece]) -> int:
        """Take one character between keys and values; a value's first one is not consumed."""
        match self._state, text[index]:
            case _State.KEY, '"':
                self._begin(_State.IN_KEY, '"')
                return index
            case _State.KEY | _State.NEXT, "}":
                self._close(pieces)
            case _State.NEXT, ",":
                self._state = _State.KEY
            case _State.COLON, ":":
                self._state = _State.VALUE
            case _State.VALUE, first:
                return self._begin_value(first, index)
            case _:
                self._fail(pieces)
                return index
        return index + 1

    def _begin_value(self, first: str, index: int) -> int:
        if self._key == "function" and first == "{":
            self._nested += 1
            self._state = _State.KEY
            return index + 1
        self._begin(_State.IN_VALUE, first)
        # A string of arguments is JSON inside JSON, which is decoded as a whole.
        named = self._name is not None
        self._streams = self._key in _ARGUMENTS and named and first in "{["
        return index

    def _begin(self, state: _State, first: str) -> None:
        self._state, self._value, self._kept = state, JsonValue(first), []

    def _consume(self, text: str, index: int, pieces: list[Piece]) -> int:
        end = self._value.consume(text, index)
        part = text[index:end]
        if self._state is _State.IN_VALUE and self._streams:
            pieces.append(Arguments(part))
        else:
            self._kept.append(part)
        if self._value.ended:
            self._complete("".join(self._kept), pieces)
        return end

    def _complete(self, value: str, pieces: list[Piece]) -> None:
        """Take a whole key or value."""
        if self._state is _State.IN_KEY:
            self._key, self._state = _string(value) or "", _State.COLON
            return
        self._state = _State.NEXT
        if self._streams:
            self._arguments, self._streams = "", False
        elif self._key in _NAMES and self._name is None and (name := _string(value)):
            self._begin_call(name, pieces)
        elif self._key in _ARGUMENTS and self._arguments is None:
            self._arguments = _arguments(value)
            if self._name is not None:
                pieces.append(Arguments(self._arguments))

    def _begin_call(self, name: str, pieces: list[Piece]) -> None:
        if self._names is not None and name not in self._names:
            self._fail(pieces)
            return
        self._name = name
        pieces.append(CallBegun(name))
        if self._arguments is not None:
            pieces.append(Arguments(self._arguments))

    def _close(self, pieces: list[Piece]) -> None:
        if self._nested:
            self._nested -= 1
            self._state = _State.NEXT
            return
        if self._name is None:
            self._fail(pieces)
            return
        if self._arguments is None:
            pieces.append(Arguments("{}"))
        pieces.append(CallEnded())
        self.ended = True

    def _fail(self, pieces: list[Piece]) -> None:
        if self._name is not None:
            pieces.append(CallEnded())
        self.ended = self.failed = True


def _string(value: str) -> str | None:
    """Return the text of a JSON string, None if the value is another one."""
    try:
        decoded = json.loads(value, strict=False)
    except ValueError:
        return None
    return decoded if isinstance(decoded, str) else None


def _arguments(value: str) -> str:
    """Return the arguments of a value that was read as a whole."""
    if value == "null":
        return "{}"
    return _string(value) or value
