"""What the echo engine answers, in tokens; the id of a token is its place in the answer."""

import codecs
import re
from collections.abc import Sequence

from worker.engines.protocol import FinishReason, GenerateRequest, TokenChunk
from worker.engines.token_text import TokenText

_COUNT_TO = re.compile(r"count to (\d{1,9})\s*[.!?]*", re.IGNORECASE | re.ASCII)
_SPELL = re.compile(r"spell: ?(.*)", re.IGNORECASE | re.DOTALL)


class EchoAnswer:
    """An answer from what an earlier attempt made on, cut at the budget (in tokens)."""

    def __init__(self, request: GenerateRequest, *, budget: int) -> None:
        self._tokens = _tokens(request.prompt.text)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        start = len(request.generated_token_ids)
        self._start = self._next = start
        self._stop = max(start, min(len(self._tokens), start + budget))
        self._text = TokenText(
            self._characters,
            stop=request.sampling.stop,
            generated_token_ids=range(min(start, len(self._tokens))),
        )

    @property
    def finished(self) -> bool:
        """Whether the last chunk was taken."""
        return self._text.finished

    @property
    def taken(self) -> int:
        """How many tokens were taken."""
        return self._next - self._start

    def take(self, count: int) -> TokenChunk | None:
        """Take tokens; the chunk that reaches the end carries the reason."""
        if self._text.finished:  # by a stop string in what is known
            return TokenChunk("", (), "stop")
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
    """Return the answer's bytes or words; a count's are only made when they are taken."""
    text = text.strip()
    if count := _COUNT_TO.fullmatch(text):
        return range(1, int(count[1]) + 1)
    if spell := _SPELL.fullmatch(text):
        return spell[1].encode(errors="replace")
    return text.split()
