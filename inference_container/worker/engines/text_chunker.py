"""Detokenizing of an answer into chunks of whole characters."""

from collections.abc import Callable, Iterable, Sequence

from worker.engines.protocol import FinishReason, TokenChunk
from worker.engines.stops import ChunkBuffer


class TextChunker:
    """Cuts an answer into chunks of whole characters, up to the first stop string.

    A token that completes no character is passed on with the one that does, so that the ids of a
    chunk are exactly those of its text.

    Parameters
    ----------
    characters : Callable[[int], str]
        Returns the characters that one more token completes; stateful, since the text of a token
        depends on the tokens before it.
    stop : Iterable[str]
        Stop strings.
    generated_token_ids : Iterable[int]
        Tokens of an earlier attempt; their text is not returned again.
    lengths : bool
        Chunks have the lengths of their tokens' texts.

    Attributes
    ----------
    finished : bool
        True once the last chunk was taken, or if the known tokens contain a stop string.
    """

    def __init__(
        self,
        characters: Callable[[int], str],
        *,
        stop: Iterable[str] = (),
        generated_token_ids: Iterable[int] = (),
        lengths: bool = False,
    ) -> None:
        self._characters = characters
        known = "".join(map(characters, generated_token_ids))
        self._chunks = ChunkBuffer(stop, known=known, lengths=lengths)
        self.finished = self._chunks.stopped

    def end_without_tokens(self, *, budget: int) -> TokenChunk | None:
        """Return the last chunk if an earlier attempt made the whole answer, else None.

        Parameters
        ----------
        budget : int
            Tokens that may still be generated.
        """
        if self.finished:
            return TokenChunk("", (), "stop", stop=self._chunks.stop)
        return None if budget else TokenChunk("", (), "length")

    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        """Return the next chunk, None if there is no text to show yet.

        A character that the end of the answer cuts is dropped, and so is all text after a stop
        string.
        """
        chunks = self._chunks
        for token_id in token_ids:
            chunks.add((token_id,), self._characters(token_id))
            if chunks.stopped:
                break
        self.finished = chunks.stopped or reason is not None
        return chunks.last(reason) if self.finished else chunks.take()
