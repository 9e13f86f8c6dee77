"""One answer on its way from tokens to chunks."""

from collections.abc import Collection, Sequence

from worker.engines.detokenizer import Detokenizer
from worker.engines.protocol import FinishReason, TokenChunk


class Answer:
    """Cuts an answer into chunks of whole characters.

    A token that completes no character goes out with the one that does, so that the ids of a chunk
    are exactly those of its text.
    """

    def __init__(
        self,
        *,
        vocabulary: Sequence[bytes],
        stop_token_ids: Collection[int],
        generated_token_ids: Sequence[int] = (),
    ) -> None:
        self.finished = False
        self._stop_token_ids = stop_token_ids
        self._held: list[int] = []
        self._text = Detokenizer(vocabulary)
        self._text.feed(generated_token_ids)

    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        """Return the next chunk, or None as long as there is nothing to show.

        A character that the end of the answer cuts is dropped.
        """
        if reason == "stop" and token_ids and token_ids[-1] in self._stop_token_ids:
            token_ids = token_ids[:-1]
        text = self._text.feed(token_ids)
        self._held += token_ids
        self.finished = reason is not None
        if not text and not self.finished:
            return None
        held, self._held = tuple(self._held), []
        return TokenChunk(text, held, reason)
