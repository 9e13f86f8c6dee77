"""JsonValue: finds the end of one JSON value in a text that arrives in parts."""

import re

_SPACE = " \t\r\n"
_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')
_SCALAR_END = re.compile(r"[,}\]\s]")


class JsonValue:
    """One value of any kind, in time linear in its text. It checks brackets and quotes only.

    Parameters
    ----------
    first : str
        The value's first character, which is not consumed.

    Attributes
    ----------
    ended : bool
        True once the whole value was consumed.
    """

    def __init__(self, first: str) -> None:
        self.ended = False
        self._scalar = first not in '"{['
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def consume(self, text: str, start: int) -> int:
        """Return the index behind what belongs to the value, from `start` on.

        A number or a word ends before the character that follows it.
        """
        if self._scalar:
            return self._consume_scalar(text, start)
        index = start
        while index < len(text) and not self.ended:
            step = self._string_step if self._in_string else self._structure_step
            index = step(text, index)
        return index

    def _consume_scalar(self, text: str, start: int) -> int:
        found = _SCALAR_END.search(text, start)
        self.ended = found is not None
        return found.start() if found else len(text)

    def _string_step(self, text: str, index: int) -> int:
        if self._escaped:
            self._escaped = False
            return index + 1
        if (found := _IN_STRING.search(text, index)) is None:
            return len(text)
        if found[0] == "\\":
            self._escaped = True
        else:
            self._in_string = False
            self.ended = self._depth == 0
        return found.end()

    def _structure_step(self, text: str, index: int) -> int:
        if (found := _OUTSIDE.search(text, index)) is None:
            return len(text)
        match found[0]:
            case '"':
                self._in_string = True
            case "{" | "[":
                self._depth += 1
            case _:
                self._depth -= 1
                self.ended = self._depth == 0
        return found.end()


def skip_space(text: str, start: int) -> int:
    """Return the index of the first character that is no JSON white space, from `start` on."""
    while start < len(text) and text[start] in _SPACE:
        start += 1
    return start
