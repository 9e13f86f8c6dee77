"""Answers of the echo engine, in tokens; the id of a token is its position in the answer."""

import codecs
import re
from collections.abc import Sequence

from worker.engines.protocol import FinishReason, GenerateRequest, TokenChunk
from worker.engines.text_chunker import TextChunker

_COUNT_TO = re.compile(r"count to (\d{1,9})\s*[.!?]*", re.IGNORECASE | re.ASCII)
_SPELL = re.compile(r"spell: ?(.*)", re.IGNORECASE | re.DOTALL)


class EchoAnswer:
    """The rest of an answer after the tokens of earlier attempts.

    Parameters
    ----------
    request : GenerateRequest
        Its prompt's text says what the answer is.
    budget : int
        Tokens that may still be generated.
    """

    def __init__(self, request: GenerateRequest, *, budget: int) -> None:
        self._tokens = _tokens(request.prompt.text)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        start = len(request.generated_token_ids)
        self._start = self._next = start
        self._stop = max(start, min(len(self._tokens), start + budget))
        self._text = TextChunker(
            self._characters,
            stop=request.sampling.stop,
            generated_token_ids=range(min(start, len(self._tokens))),
            lengths=request.parsed,
        )

    @property
    def finished(self) -> bool:
        """Return whether the last chunk was taken."""
        return self._text.finished

    @property
    def taken(self) -> int:
        """Return how many tokens were taken."""
        return self._next - self._start

    def take(self, count: int) -> TokenChunk | None:
        """Return the chunk of the next `count` tokens; the last one has the finish reason."""
        if (end := self._text.end_without_tokens(budget=1)) is not None:
            return end  # a stop string in the known text
        first, last = self._next, min(self._stop, self._next + count)
        self._next = last
        return self._text.take(range(first, last), self._reason() if last == self._stop else None)

    def _reason(self) -> FinishReason:
        return "stop" if self._stop >= len(self._tokens) else "length"

    def _characters(self, index: int) -> str:
        if isinstance(self._tokens, bytes):
            return self._decoder.decode(self._tokens[index : index + 1])
        return f" {self._tokens[index]}" if index else str(self._tokens[0])


def _tokens(text: str) -> Sequence[object]:
    """Return the bytes or words of the answer; the numbers of a count are made when taken."""
    text = text.strip()
    if count := _COUNT_TO.fullmatch(text):
        return range(1, int(count[1]) + 1)
    if spell := _SPELL.fullmatch(text):
        return spell[1].encode(errors="replace")
    return text.split()
