"""State of one answer from an upstream, across the streams that carry it."""

from abc import ABC, abstractmethod
from typing import Any

from worker.engines.openai.client import Call
from worker.engines.openai.shapes import ShapeError
from worker.engines.openai.surrogates import SurrogateJoiner
from worker.engines.protocol import FinishReason, GenerateRequest, ModelInfo, TokenChunk
from worker.engines.request_checks import token_budget
from worker.engines.stops import ChunkBuffer


class UpstreamAnswer(ABC):
    """One answer; it outlives a stream that breaks, and then asks for the rest (`call`).

    Attributes
    ----------
    reason : FinishReason | None
        Why the answer has ended; None until it has.
    full : bool
        Whether the answer is complete although the upstream still generates: the stream is to be
        closed.
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        self.reason: FinishReason | None = None
        self.full = False
        self._request = request
        self._ids = list(request.generated_token_ids)
        self._chunks = ChunkBuffer(request.sampling.stop)
        self._characters = SurrogateJoiner()
        self._budget = token_budget(request, model.context_window) + len(self._ids)

    @property
    def begun(self) -> bool:
        """Return whether this attempt has passed on a chunk."""
        return len(self._ids) > len(self._request.generated_token_ids)

    @property
    def _left(self) -> int:
        """Return how many tokens may still be generated."""
        return self._budget - len(self._ids)

    @abstractmethod
    def call(self) -> Call | None:
        """Return the request for the rest of the answer, None if there is no rest."""

    @abstractmethod
    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        """Return the chunk that an event completes, None if there is no text to show yet.

        Raises
        ------
        ShapeError
            The event is malformed.
        EngineError
            The upstream gave up, or ended the answer for a reason that does not complete it.
        """

    def done(self) -> None:
        """Take the stream's own end: servers that give no finish reason have completed the text.

        Raises
        ------
        ShapeError
            There is no text either.
        """
        if self.reason is None:
            if not self._ids and not self._chunks.buffered:
                raise ShapeError("choices[0].finish_reason", "is missing, and there is no text")
            self.reason = "stop"

    def _begin_stream(self, *, known: str = "") -> None:
        """Forget what an earlier stream has sent and nobody was shown: it is generated again."""
        self._chunks = ChunkBuffer(self._request.sampling.stop, known=known)
        self._characters = SurrogateJoiner()

    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer. A character that the end cuts is dropped."""
        return self._chunks.last(self.reason)

    def _passed_on(self, chunk: TokenChunk | None) -> TokenChunk | None:
        """Count a chunk as known: after a break the upstream is asked for what follows it.

        Text that waits in the buffer is not counted. It was never shown, so it is generated again.
        """
        self._ids += chunk.token_ids if chunk else ()
        return chunk

    def _end_at_stop_string(self) -> None:
        if self._chunks.stopped:
            # An upstream that has given no reason yet would continue behind the stop string.
            self.reason, self.full = "stop", self.reason is None
