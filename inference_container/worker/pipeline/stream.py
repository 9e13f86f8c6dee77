"""stream: an engine's tokens in flushes; each becomes one delta, which is one post."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from worker.engines.protocol import FinishReason, TokenChunk
from worker.event_writer import EventWriter
from worker.pipeline.flush import FlushPolicy


@dataclass(frozen=True, slots=True)
class Flush:
    """What goes out together; the last flush of an answer carries its finish reason."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None
    usage: Usage | None = None


async def stream(flush: Flush, *, transcript: Transcript, event_writer: EventWriter) -> None:
    """Append a flush to the event log; the last one also closes the message.

    Raises
    ------
    FencedError, MissingResponseError, UnavailableError
        See `EventWriter.append`.
    """
    events = transcript.delta(flush.text, flush.token_ids)
    if flush.finish_reason:
        events += transcript.close_message(complete=flush.finish_reason == "stop")
    if events:  # else the token ids go with the next one
        await event_writer.append(events)


async def _at_once(read: Callable[[], Awaitable[None]]) -> None:
    await read()


class Coalescer:
    """Reads an engine's chunks as fast as they come and hands them on as the policy says.

    While the consumer is busy with a flush, chunks gather for the next: a slow log costs
    latency, never the engine's time. `received` is how many tokens the engine gave so far.

    Parameters
    ----------
    run : Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
        Runs the reading of the chunks, and when.
    """

    def __init__(
        self,
        chunks: AsyncIterator[TokenChunk],
        *,
        policy: FlushPolicy,
        run: Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]] = _at_once,
    ) -> None:
        self._chunks = chunks
        self._policy = policy
        self._run = run
        self._texts: list[str] = []
        self._token_ids: list[int] = []
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._pumping: asyncio.Task[None] | None = None
        self._first_at = self._last_at = 0.0
        self._first_tokens = 0
        self.received = 0
        self.stopped = False

    @property
    def seconds_per_token(self) -> float | None:
        """The mean time from one token to the next so far; None before there are two."""
        later = self.received - self._first_tokens
        return (self._last_at - self._first_at) / later if later else None

    def stop(self) -> None:
        """Abort the generation: what it gave so far comes out, and then the flushes end."""
        self.stopped = True
        if self._pumping is not None:
            self._pumping.cancel()

    async def flushes(self) -> AsyncGenerator[Flush, None]:
        """Yield flushes; close this generator to abort the generation.

        Raises
        ------
        EngineError
            What the engine raised, after what it gave before was flushed.
        """
        if self.stopped:
            return
        pump = self._pumping = asyncio.create_task(self._run(self._pump))
        pump.add_done_callback(lambda _: self._end())  # it may end without having begun
        try:
            first_at: float | None = None
            while not (self._ended.is_set() and not self._texts):
                await self._news.wait()
                flush = self._take()
                if flush is None:
                    break
                now = asyncio.get_running_loop().time()
                first_at = now if first_at is None else first_at
                yield flush
                await self._rest(now + self._policy.interval(now - first_at))
            if not self.stopped:
                await pump
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await pump

    async def _pump(self) -> None:
        try:
            async for chunk in self._chunks:
                self._count(chunk)
                self._token_ids.extend(chunk.token_ids)
                self._finish_reason = chunk.finish_reason
                self._usage = chunk.usage
                if chunk.text or chunk.finish_reason:  # half a character waits for its other half
                    self._texts.append(chunk.text)
                    self._news.set()
        finally:
            self._end()

    def _count(self, chunk: TokenChunk) -> None:
        if not chunk.token_ids:
            return
        self._last_at = asyncio.get_running_loop().time()
        if not self.received:
            self._first_at, self._first_tokens = self._last_at, len(chunk.token_ids)
        self.received += len(chunk.token_ids)

    def _end(self) -> None:
        self._ended.set()
        self._news.set()

    def _take(self) -> Flush | None:
        if not self._texts:
            return None
        flush = Flush(
            "".join(self._texts), tuple(self._token_ids), self._finish_reason, self._usage
        )
        self._texts.clear()
        self._token_ids.clear()
        if not self._ended.is_set():
            self._news.clear()
        return flush

    async def _rest(self, until: float) -> None:
        """Wait for the next flush's time, or for the end, whichever comes first."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._ended.wait()
