"""CustomInput: the text for a custom tool, out of the arguments that a model writes. No I/O.

A model knows functions alone, so it calls a custom tool as one with a single argument
(`axon.protocol.tools`): its text stands in a JSON string.
"""

import json
import re

from axon.protocol.tools import INPUT

_BEGIN = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_LONGEST_BEGIN = 256
"""Characters within which the text must begin; what begins later is read at the end."""
_COMPLETE = re.compile(
    r"""(?: [^"\\] | \\["\\/bfnrt]
      | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # one character beyond 16 bits
      | \\u(?![dD][89abAB])[0-9a-fA-F]{4}
    )*+""",
    re.VERBOSE,
)
_LONGEST_ESCAPE = 12
_JSON_BEGINS = '{["'
"""First characters of JSON that has an end of its own; other arguments are a text as they are."""


class CustomInput:
    """Decodes the arguments of one call, which are fed in parts of any size.

    The parts that it returns depend on the whole alone once they are joined. Arguments of another
    form are looked at when they have ended: a text in other JSON is found, and what is no such JSON
    is the text itself.

    Attributes
    ----------
    complete : bool
        True once the text has ended; it stays False if its JSON is cut.
    """

    def __init__(self) -> None:
        self.complete = False
        self._held = ""
        self._inside = False
        self._ended = False

    def feed(self, text: str) -> str:
        """Return the further text that more of the arguments complete."""
        if self._ended:
            return ""
        self._held += text
        if not self._inside:
            beginning = _BEGIN.match(self._held[:_LONGEST_BEGIN])
            if beginning is None:
                return ""
            self._inside = True
            self._held = self._held[beginning.end() :]
        return self._decoded()

    def end(self) -> str:
        """Return the rest of the text, as the arguments have ended."""
        if self._ended:
            return ""
        if self._inside:
            return self._decoded(whole=True)
        self._ended = True
        try:
            value = json.loads(self._held, strict=False)
        except (ValueError, RecursionError):
            self.complete = self._held.lstrip()[:1] not in _JSON_BEGINS
            return self._held
        self.complete = True
        if not isinstance(value, dict) or INPUT not in value:
            return self._held
        found = value[INPUT]
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def _decoded(self, *, whole: bool = False) -> str:
        decoded: list[str] = []
        while not self._ended:
            complete = _COMPLETE.match(self._held)
            chunk = complete[0] if complete else ""
            # Not strict: models write line breaks in strings as they are.
            decoded.append(json.loads(f'"{chunk}"', strict=False))
            self._held = self._held[len(chunk) :]
            if self._held.startswith('"'):
                self._ended = self.complete = True
            elif self._held and (whole or _is_no_escape(self._held)):
                decoded.append(self._held[0])  # a backslash as it is
                self._held = self._held[1:]
            else:
                break
        return "".join(decoded)


def _is_no_escape(text: str) -> bool:
    """Return whether a text that begins with a backslash cannot become an escape of JSON."""
    return len(text) >= _LONGEST_ESCAPE or (len(text) > 1 and text[1] not in '"\\/bfnrtu')
