"""AnswerReader: the pieces of an answer up to its end, wherever that is."""

from array import array
from collections.abc import Iterable, Sequence

from worker.parsers.answer import AnswerParser
from worker.parsers.pieces import CallEnded, Piece, Text, merged
from worker.parsers.text_stops import TextStops


class AnswerReader:
    """Reads an answer in parts; its pieces do not depend on how it was cut.

    Stop strings count in the text for the client alone, since reasoning and arguments of calls are
    no text that a client could have meant.

    Parameters
    ----------
    parser : AnswerParser
        Finds the pieces.
    stop : Sequence[str]
        The answer ends before the first of these strings in its text.
    most_calls : int | None
        The answer ends with this call; None if it may have any number.

    Attributes
    ----------
    ended : bool
        True once the answer has ended before the model's own end.
    """

    def __init__(
        self,
        parser: AnswerParser,
        *,
        stop: Sequence[str] = (),
        most_calls: int | None = None,
    ) -> None:
        self.ended = False
        self._parser = parser
        self._stops = TextStops(stop)
        self._calls_left = most_calls
        self._starts = array("Q")
        """The characters of the answer before each token."""
        self._length = 0

    @property
    def stop(self) -> str | None:
        """The stop string that has ended the answer."""
        return self._stops.found

    @property
    def reasoning(self) -> bool:
        """True while the answer is inside its reasoning."""
        return self._parser.reasoning.open

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the reasoning so far, with its markers."""
        return self._parser.reasoning.count(self._starts)

    def read(self, text: str, lengths: Iterable[int] = ()) -> list[Piece]:
        """Return the pieces of the next text.

        Parameters
        ----------
        text : str
            The text.
        lengths : Iterable[int]
            Characters that each of its tokens completes; none if they are not to be counted.
        """
        for length in lengths:
            self._starts.append(self._length)
            self._length += length
        return [] if self.ended else self._shown(self._parser.feed(text))

    def end(self) -> list[Piece]:
        """Return what is left, as the model has ended the answer here."""
        if self.ended:
            return []
        pieces = self._shown(self._parser.end())
        return pieces if self.ended else merged([*pieces, Text(self._stops.release())])

    def _shown(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Return the pieces up to the answer's end."""
        shown: list[Piece] = []
        for piece in pieces:
            match piece:
                case Text(text):
                    shown.append(Text(self._stops.feed(text)))
                case CallEnded() if self._calls_left is not None:
                    self._calls_left -= 1
                    shown.append(piece)
                case _:
                    shown += [Text(self._stops.release()), piece]
            self.ended = self.stop is not None or self._calls_left == 0
            if self.ended:
                break
        return merged(shown)
