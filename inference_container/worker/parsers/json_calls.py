"""JsonCalls: a section whose calls are JSON objects (Hermes, Qwen, SmolLM2, Mistral, Llama 3)."""

from collections.abc import Container

from typing_extensions import override

from worker.parsers.json_call import JsonCall
from worker.parsers.json_value import skip_space
from worker.parsers.markers import Markers
from worker.parsers.pieces import Piece, Text
from worker.parsers.section import Fed, Section


class JsonCalls(Section):
    """Calls as JSON objects: one, several behind another, or an array of them.

    What turns out to be no call before its name is known is given as text, with the marker before
    it. What stands behind a call, up to the closing marker, is left out.

    Parameters
    ----------
    begin : str
        The marker that begins the section.
    close : str
        The marker that ends it; empty if it ends with its last object or its array.
    names : Container[str] | None
        The only names that make an object a call; None if any name does.
    """

    def __init__(self, *, begin: str, close: str = "", names: Container[str] | None = None) -> None:
        self._begin = begin
        self._names = names
        self._closes = bool(close)
        self._close = Markers([close, begin] if close else [])
        self._call: JsonCall | None = None
        self._in_array = False
        self._closing = False
        self._held = ""
        self._begun = False
        self._raw = begin
        """Text since the marker; given as text, unless a call has begun."""
        self._next = ""

    @override
    def feed(self, text: str) -> Fed:
        pieces: list[Piece] = []
        text, self._held = self._held + text, ""
        while text:
            if self._call is not None:
                fed = self._feed_call(self._call, text)
            elif self._closing:
                fed = self._feed_closing(text)
            else:
                fed = self._feed_between(text)
            pieces += fed.pieces
            if fed.rest is not None:
                return Fed(pieces, fed.rest)
            text = self._next
        return Fed(pieces)

    @override
    def end(self) -> list[Piece]:
        if self._begun:
            return self._call.end() if self._call is not None else []
        return [Text(self._raw + (self._call.raw if self._call is not None else ""))]

    def _feed_call(self, call: JsonCall, text: str) -> Fed:
        pieces, index = call.feed(text, 0)
        self._next = text[index:]
        self._begun = self._begun or call.begun
        if not call.ended:
            return Fed(pieces)
        self._call = None
        if not self._begun:
            return Fed([Text(self._raw + call.raw)], self._next)
        # Behind what is no JSON, only the marker says where the section ends.
        return self._close_section(pieces) if call.failed else Fed(pieces)

    def _feed_between(self, text: str) -> Fed:
        """Take one bracket or separator, with the white space before it."""
        index = skip_space(text, 0)
        taken, self._next = text[: index + 1], text[index + 1 :]
        match text[index : index + 1]:
            case "":
                self._note(taken)
            case "{":
                self._note(text[:index])
                self._call = JsonCall(self._names)
            case "[" if not (self._in_array or self._begun):
                self._note(taken)
                self._in_array = True
            case "," | ";" if self._begun:
                pass
            case "]" if self._in_array:
                self._note(taken)
                return self._close_section([])
            case _:
                self._next = text[index:]
                return self._close_section([])
        return Fed([])

    def _note(self, text: str) -> None:
        if not self._begun:
            self._raw += text

    def _close_section(self, pieces: list[Piece]) -> Fed:
        """End the section, or look for the marker that does."""
        if not self._begun:
            return Fed([*pieces, Text(self._raw)], self._next)
        if not self._closes:
            return Fed(pieces, self._next)
        self._closing = True
        return Fed(pieces)

    def _feed_closing(self, text: str) -> Fed:
        split = self._close.split(text)
        self._next = ""
        if split.marker is None:
            self._held = split.rest
            return Fed([])
        if split.marker != self._begin:
            return Fed([], split.rest)
        # The next section has begun, and this one was never closed.
        self._closing = self._in_array = self._begun = False
        self._raw, self._next = self._begin, split.rest
        return Fed([])
