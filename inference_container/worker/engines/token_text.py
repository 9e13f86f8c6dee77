"""An answer on its way from tokens to chunks."""

from collections.abc import Callable, Iterable, Sequence

from worker.engines.protocol import FinishReason, TokenChunk
from worker.engines.stops import Chunks


class TokenText:
    """Cuts an answer into chunks of whole characters, up to the first stop string.

    A token that completes no character goes out with the one that does, so that the ids of a chunk
    are exactly those of its text.

    Parameters
    ----------
    characters
        Returns the characters that one more token completes; text depends on what stands before.
    generated_token_ids
        What an earlier attempt made; its text is not given again.

    Attributes
    ----------
    finished
        Whether nothing follows: the last chunk was taken, or the known ids have a stop string.
    """

    def __init__(
        self,
        characters: Callable[[int], str],
        *,
        stop: Iterable[str] = (),
        generated_token_ids: Iterable[int] = (),
    ) -> None:
        self._characters = characters
        self._chunks = Chunks(stop, known="".join(map(characters, generated_token_ids)))
        self.finished = self._chunks.stopped

    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        """Return the next chunk, or None as long as there is nothing to show.

        A character that the end of the answer cuts is dropped, and what follows a stop string, too.
        """
        chunks = self._chunks
        for token_id in token_ids:
            chunks.add((token_id,), self._characters(token_id))
            if chunks.stopped:
                break
        self.finished = chunks.stopped or reason is not None
        return chunks.last(reason) if self.finished else chunks.take()
