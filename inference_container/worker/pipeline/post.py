"""post: changes of an answer's text between the engine and the event log."""

from dataclasses import replace
from typing import Protocol

from worker.pipeline.stream import Flush


class PostProcessor(Protocol):
    """Changes an answer's text before the client gets it.

    It must not keep text back for a later flush. The token ids of a flush are logged with its text,
    and an attempt that continues after these ids would miss what was kept. A processor that needs
    to keep text back must also keep it in the log, as a journal record (`EventWriter.record`).
    """

    async def process(self, text: str) -> str:
        """Return the text that the client gets for a flush's text."""
        ...


async def post(flush: Flush, processor: PostProcessor) -> Flush:
    """Return the flush with its text processed; token ids and finish reason stay the same."""
    text = await processor.process(flush.text)
    return flush if text == flush.text else replace(flush, text=text)
