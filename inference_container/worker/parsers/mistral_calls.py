"""MistralCalls: calls behind ``[TOOL_CALLS]``, as an array or as ``NAME[ARGS]{...}``."""

import re

from typing_extensions import override

from worker.parsers.json_calls import JsonCalls
from worker.parsers.json_value import JsonValue, skip_space
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece, Text
from worker.parsers.section import Fed, Section

MARKER = "[TOOL_CALLS]"
_HEAD = re.compile(
    r"\s*(?P<name>[\w.-]{1,128})\s*(?:\[CALL_ID\]\s*[\w-]*\s*)?(?:\[ARGS\])?\s*", re.A
)
_LONGEST_HEAD = 512
"""Characters of a head; a longer one has no name of a function in it."""


class MistralCalls(Section):
    """Either form; the first character that is no white space tells which."""

    def __init__(self) -> None:
        self._form: Section | None = None
        self._space = ""

    @override
    def feed(self, text: str) -> Fed:
        if self._form is None:
            text, index = self._space + text, skip_space(text, 0)
            first = text[len(self._space) + index :][:1]
            if not first:
                self._space = text
                return Fed([])
            self._form = JsonCalls(begin=MARKER) if first in "{[" else _NamedCall()
        return self._form.feed(text)

    @override
    def end(self) -> list[Piece]:
        return [Text(MARKER + self._space)] if self._form is None else self._form.end()


class _NamedCall(Section):
    """One call: its name, perhaps its id, and its arguments."""

    def __init__(self) -> None:
        self._head = ""
        self._value: JsonValue | None = None

    @override
    def feed(self, text: str) -> Fed:
        if self._value is not None:
            return self._feed_value(self._value, text)
        head, brace, rest = text.partition("{")
        self._head += head
        if not brace and len(self._head) < _LONGEST_HEAD:
            return Fed([])
        if not brace or (found := _HEAD.fullmatch(self._head)) is None:
            return Fed([Text(MARKER)], self._head + brace + rest)
        self._value = JsonValue("{")
        fed = self._feed_value(self._value, brace + rest)
        return Fed([CallBegun(found["name"]), *fed.pieces], fed.rest)

    @override
    def end(self) -> list[Piece]:
        return [Text(MARKER + self._head)] if self._value is None else [CallEnded()]

    def _feed_value(self, value: JsonValue, text: str) -> Fed:
        end = value.consume(text, 0)
        pieces: list[Piece] = [Arguments(text[:end])]
        return Fed([*pieces, CallEnded()], text[end:]) if value.ended else Fed(pieces)
