"""Stop strings, and the cutting of an answer into chunks that respects them.

An answer ends before the first stop string in its text: the one that is complete first, the longest
of those that are complete at the same character. Boundaries of tokens and chunks do not matter.

A chunk ends where no character and no stop string can have begun, and its ids are all those of its
text. So an attempt that continues after whole chunks, as every attempt does whose ids come from the
event log, needs to know nothing of the text before: no stop string begins in it, and none of it
must be withdrawn, even if other tokens follow than in the earlier attempt. The last chunk contains
the ids of the stop string as well, since they were generated; the log gets them together with the
end of the answer.

An attempt that continues after other ids still yields exactly the rest if their text is known
(`known`): that text counts as shown, and a stop string that began in it ends the answer.
"""

from collections.abc import Iterable, Sequence

from worker.engines.protocol import FinishReason, TokenChunk


class StopScanner:
    """Finds the first stop string in a text that arrives in pieces. Empty strings are ignored.

    State: for each stop string, how many of its characters the end of the text matches.

    Attributes
    ----------
    open : bool
        Whether the text so far may end with the beginning of a stop string.
    found : str | None
        The stop string that was complete first.
    """

    def __init__(self, stop: Iterable[str]) -> None:
        longest_first = sorted({each for each in stop if each}, key=len, reverse=True)
        self._matchers = [_Matcher(each) for each in longest_first]
        self._first_characters = {each[0] for each in longest_first}
        self.open = False
        self.found: str | None = None

    @property
    def matched(self) -> int:
        """Length of the text's longest end that a stop string begins with."""
        return max(matcher.matched for matcher in self._matchers) if self.open else 0

    def find(self, piece: str) -> int | None:
        """Return the index in this piece at which the first stop string begins.

        Returns
        -------
        int | None
            Negative if it began in an earlier piece; None if no stop string is complete.
        """
        # Most pieces contain no first character of a stop string: they need no matching.
        if not self.open and self._first_characters.isdisjoint(piece):
            return None
        for position, character in enumerate(piece):
            # All matchers must see the character: no short cut at the first that is complete.
            found = [matcher for matcher in self._matchers if matcher.advance(character)]
            if found:  # the longest one first
                self.found = found[0].text
                return position + 1 - len(found[0].text)
        self.open = any(matcher.matched for matcher in self._matchers)
        return None


class _Matcher:
    """The search for one string, by Knuth, Morris and Pratt (1977): each character is read once."""

    __slots__ = ("_fallbacks", "matched", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.matched = 0
        """Length of the string's longest prefix that the text so far ends with."""
        # For each prefix of the string, the length of its longest proper prefix that it ends with:
        # what still matches after a mismatch.
        self._fallbacks = [0]
        for character in text[1:]:
            self._fallbacks.append(self._next(self._fallbacks[-1], character))

    def advance(self, character: str) -> bool:
        self.matched = self._next(self.matched, character)
        return self.matched == len(self.text)

    def _next(self, matched: int, character: str) -> int:
        while matched and self.text[matched] != character:
            matched = self._fallbacks[matched - 1]
        return matched + (self.text[matched] == character)


class ChunkBuffer:
    """Collects the tokens of an answer into chunks, and ends it at a stop string.

    The text that may be passed on ("final") is what precedes the last place at which no stop string
    was open; what follows it waits.

    Parameters
    ----------
    stop : Iterable[str]
        Stop strings.
    known : str
        The text of the ids after which the answer continues, as far as its characters are whole.
    lengths : bool
        Chunks have the lengths of their tokens' texts.

    Attributes
    ----------
    stopped : bool
        Whether a stop string was found: no text follows it.
    """

    def __init__(self, stop: Iterable[str] = (), *, known: str = "", lengths: bool = False) -> None:
        self._scanner = StopScanner(stop)
        self.stopped = self._scanner.find(known) is not None
        self._lengths: list[int] | None = [] if lengths else None
        self._ids: list[int] = []
        self._text = ""
        self._final_ids = self._final_characters = 0

    @property
    def stop(self) -> str | None:
        """Return the stop string that was found."""
        return self._scanner.found

    @property
    def buffered(self) -> int:
        """Return how many ids were added and not taken."""
        return len(self._ids)

    def add(self, token_ids: Sequence[int], text: str) -> None:
        """Add tokens and the characters that they complete; ignored after a stop string."""
        if self.stopped:
            return
        self._ids += token_ids
        if self._lengths is not None and token_ids:
            # Of tokens that come together, all are taken to begin where their text does.
            self._lengths += [0] * (len(token_ids) - 1) + [len(text)]
        if not text:
            return
        start = self._scanner.find(text)
        if start is not None:
            self.stopped = True
            # Zero if the stop string began in the known text, which was shown and stays.
            self._text = (self._text + text)[: max(0, len(self._text) + start)]
            return
        self._text += text
        if not self._scanner.open:
            self._final_ids, self._final_characters = len(self._ids), len(self._text)

    def take(self) -> TokenChunk | None:
        """Return the text that is final and its tokens, None if there is none."""
        if self.stopped or not self._final_characters:
            return None
        ids, characters = self._final_ids, self._final_characters
        chunk = TokenChunk(
            self._text[:characters], tuple(self._ids[:ids]), lengths=self._take_lengths(ids)
        )
        self._ids, self._text = self._ids[ids:], self._text[characters:]
        self._final_ids = self._final_characters = 0
        return chunk

    def last(self, reason: FinishReason | None) -> TokenChunk:
        """Return the chunk that ends the answer: by a stop string, else for `reason`."""
        reason = "stop" if self.stopped else reason
        lengths = self._take_lengths(len(self._ids))
        return TokenChunk(self._text, tuple(self._ids), reason, stop=self.stop, lengths=lengths)

    def _take_lengths(self, count: int) -> tuple[int, ...]:
        if self._lengths is None:
            return ()
        taken = tuple(self._lengths[:count])
        del self._lengths[:count]
        return taken
