"""One answer on its way from the pipeline's tokens to chunks."""

from collections.abc import Collection, Sequence

from worker.engines.detokenizer import Detokenizer
from worker.engines.protocol import FinishReason, TokenChunk
from worker.engines.token_text import TokenText


class Answer(TokenText):
    """`TokenText` of a byte-level vocabulary, without the token that ends the answer."""

    def __init__(
        self,
        *,
        vocabulary: Sequence[bytes],
        stop_token_ids: Collection[int],
        generated_token_ids: Sequence[int] = (),
        stop: Sequence[str] = (),
    ) -> None:
        decoder = Detokenizer(vocabulary)
        super().__init__(
            lambda token_id: decoder.feed((token_id,)),
            stop=stop,
            generated_token_ids=generated_token_ids,
        )
        self._stop_token_ids = stop_token_ids

    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        """Return the next chunk, or None as long as there is nothing to show."""
        if reason == "stop" and token_ids and token_ids[-1] in self._stop_token_ids:
            token_ids = token_ids[:-1]
        return super().take(token_ids, reason)
