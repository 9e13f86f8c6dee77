"""Surrogate pairs whose halves arrive in different pieces of text."""


class SurrogateJoiner:
    r"""Joins pairs across pieces; a half without the other one becomes U+FFFD.

    A server that cuts text by UTF-16 units sends an emoji as ``"\ud83d"`` and, in the next event,
    ``"\ude00"``. Neither can be encoded by itself.
    """

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """Return the whole characters so far; the first half of a pair waits for the next piece."""
        if piece.isascii() and not self._half:
            return piece
        if not piece:
            return ""
        text, self._half = self._half + piece, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
