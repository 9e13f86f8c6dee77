"""post: what happens to an answer's text between the engine and the event log."""

from dataclasses import replace
from typing import Protocol

from worker.pipeline.stream import Flush


class PostProcessor(Protocol):
    """Changes text on its way out.

    It must not hold text back for a later flush: the token ids of this one are logged with it, and
    an attempt that goes on after them would never see what was held.
    """

    async def process(self, text: str) -> str:
        """Return what the client gets of a flush's text."""
        ...


class Unchanged(PostProcessor):
    """Leaves text as it is."""

    async def process(self, text: str) -> str:
        return text


async def post(flush: Flush, processor: PostProcessor) -> Flush:
    """Return the flush with its text changed; token ids and finish reason stay."""
    text = await processor.process(flush.text)
    return flush if text == flush.text else replace(flush, text=text)
