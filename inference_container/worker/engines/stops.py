"""Stop strings, and how an answer is cut into chunks because of them.

An answer ends before the first stop string in its text: the one that is complete first, the longest
of those that are complete at the same character. It does not matter how tokens or chunks cut it.

What a later attempt must know follows from where chunks end. A chunk ends where no character and no
stop string can have begun, and its ids are all those of its text. Whoever continues after whole
chunks, as every attempt does whose ids come from the log, therefore needs to know nothing of the
text before: no stop string begins in it, and nothing of it must be taken back, even where other
tokens follow than the first time. The last chunk has the ids of the stop string as well, for they
were generated; the log gets them together with the answer's end.

Ids that are cut elsewhere still give exactly the rest where their text is known (`known`): it
counts as given, and a stop string that began in it ends the answer.
"""

from collections.abc import Iterable, Sequence

from worker.engines.protocol import FinishReason, TokenChunk


class StopScanner:
    """Finds the first stop string in a text that comes in pieces. Empty strings stop nothing.

    Attributes
    ----------
    open
        Whether the text so far may end with the beginning of a stop string.
    """

    def __init__(self, stop: Iterable[str]) -> None:
        longest_first = sorted({each for each in stop if each}, key=len, reverse=True)
        self._searches = [_Search(each) for each in longest_first]
        self._beginnings = {each[0] for each in longest_first}
        self.open = False

    def find(self, piece: str) -> int | None:
        """Return where in this piece the first stop string begins, None as long as there is none.

        Negative where it began in earlier pieces.
        """
        if not self.open and self._beginnings.isdisjoint(piece):
            return None
        for position, character in enumerate(piece):
            found = [search for search in self._searches if search.complete(character)]
            if found:
                return position + 1 - len(found[0].text)
        self.open = any(search.matched for search in self._searches)
        return None


class _Search:
    """One string searched for, by Knuth, Morris and Pratt."""

    __slots__ = ("_shorter", "matched", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.matched = 0
        """How many of its characters the end of the text so far has, as its beginning."""
        self._shorter = [0]
        for character in text[1:]:
            self._shorter.append(self._next(self._shorter[-1], character))

    def complete(self, character: str) -> bool:
        self.matched = self._next(self.matched, character)
        return self.matched == len(self.text)

    def _next(self, matched: int, character: str) -> int:
        while matched and self.text[matched] != character:
            matched = self._shorter[matched - 1]
        return matched + (self.text[matched] == character)


class Chunks:
    """Makes chunks of the tokens of an answer, and finds its end.

    Parameters
    ----------
    known
        The text of the ids after which it continues, as far as its characters are whole.

    Attributes
    ----------
    stopped
        Whether there was a stop string: nothing comes after it.
    """

    def __init__(self, stop: Iterable[str] = (), *, known: str = "") -> None:
        self._scanner = StopScanner(stop)
        self.stopped = self._scanner.find(known) is not None
        self._ids: list[int] = []
        self._text = ""
        self._sure_ids = self._sure_characters = 0

    @property
    def held(self) -> int:
        """How many ids were added and not taken."""
        return len(self._ids)

    def add(self, token_ids: Sequence[int], text: str) -> None:
        """Add tokens and the characters that they complete; ignored after a stop string."""
        if self.stopped:
            return
        self._ids += token_ids
        if not text:
            return
        begins = self._scanner.find(text)
        if begins is not None:
            self.stopped = True
            self._text = (self._text + text)[: max(0, len(self._text) + begins)]
            return
        self._text += text
        if not self._scanner.open:
            self._sure_ids, self._sure_characters = len(self._ids), len(self._text)

    def take(self) -> TokenChunk | None:
        """Return what may go out before the end is known, None as long as there is no text."""
        if self.stopped or not self._sure_characters:
            return None
        ids, characters = self._sure_ids, self._sure_characters
        chunk = TokenChunk(self._text[:characters], tuple(self._ids[:ids]))
        self._ids, self._text = self._ids[ids:], self._text[characters:]
        self._sure_ids = self._sure_characters = 0
        return chunk

    def last(self, reason: FinishReason | None) -> TokenChunk:
        """Return the chunk that ends the answer: by a stop string, else for this reason."""
        return TokenChunk(self._text, tuple(self._ids), "stop" if self.stopped else reason)
