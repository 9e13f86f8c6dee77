"""stream: an engine's tokens joined into flushes, and each flush appended as one delta."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from worker.engines.protocol import FinishReason, TokenChunk
from worker.event_writer import EventWriter
from worker.pipeline.flush import FlushPolicy

_CLOSE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Flush:
    """Text and tokens that leave as one delta; the last flush of an answer has a finish reason.

    `cached_tokens` is what the engine has told so far, `stop` the stop string that ended the
    answer, and `lengths` those of the tokens' texts, all as in `TokenChunk`.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None
    usage: Usage | None = None
    cached_tokens: int | None = None
    stop: str | None = None
    lengths: tuple[int, ...] = ()


def fit(flush: Flush, transcript: Transcript) -> Flush:
    """Return the flush with as much of its text as the client's messages have room for.

    One that is cut ends the answer, by its length. It keeps all token ids: they were generated, so
    they count, and no attempt continues behind an answer that has ended.
    """
    text = transcript.fitting(flush.text)
    if text == flush.text:
        return flush
    return replace(flush, text=text, finish_reason="length", stop=None)


async def stream(
    flush: Flush,
    *,
    transcript: Transcript,
    event_writer: EventWriter,
    records: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Append a flush to the event log; the last one also closes the message.

    Parameters
    ----------
    flush : Flush
        The text and tokens.
    transcript : Transcript
        Makes the events.
    event_writer : EventWriter
        Appends them.
    records : Sequence[tuple[str, bytes]]
        Journal records that go with the events (`EventWriter.append`); none without events.

    Raises
    ------
    FencedError, MissingResponseError, UnavailableError
        See `EventWriter.append`.
    """
    events = transcript.delta(flush.text, flush.token_ids)
    if flush.finish_reason:
        complete = flush.finish_reason == "stop"
        events += transcript.close_message(complete=complete, stop=flush.stop)
    # A flush without text makes no event: the transcript keeps its token ids for the next delta.
    if events:
        await event_writer.append(events, records=records)


class Coalescer:
    """Reads an engine's chunks as fast as they come, and yields them joined into flushes.

    While the consumer is busy with a flush, chunks gather for the next one: a slow event log
    costs latency, never the engine's time.

    Parameters
    ----------
    chunks : AsyncGenerator[TokenChunk, None]
        The engine's chunks; closed when the reading ends, for whatever reason.
    policy : FlushPolicy
        When the next flush is due.
    stuck : Callable[[], None]
        Called when the source does not end within 3 s after it was closed.
    lengths : bool
        Flushes have the lengths of their tokens' texts.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[TokenChunk, None],
        *,
        policy: FlushPolicy,
        stuck: Callable[[], None] = lambda: None,
        lengths: bool = False,
    ) -> None:
        self._stuck = stuck
        self._lengths: list[int] | None = [] if lengths else None
        self._chunks = chunks
        self._policy = policy
        self._texts: list[str] = []
        self._token_ids: list[int] = []
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._cached_tokens: int | None = None
        self._stop: str | None = None
        # Set while a flush can be taken, and for good once the reading has ended.
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._first_at = self._last_at = 0.0
        self._first_tokens = 0
        self.received = 0
        self.stopped = False

    @property
    def seconds_per_token(self) -> float | None:
        """Mean seconds from one token to the next so far; None before there are two."""
        later = self.received - self._first_tokens
        return (self._last_at - self._first_at) / later if later else None

    def stop(self) -> None:
        """Abort the generation; what it has given so far is still flushed, then flushes end."""
        self.stopped = True
        if self._reader is not None:
            self._reader.cancel()
            # Nothing is read after this, whether the source ends or hangs.
            self._end()

    async def flushes(self) -> AsyncGenerator[Flush, None]:
        """Yield flushes; close this generator to abort the generation.

        Raises
        ------
        Exception
            The error of the chunks' source, after everything read before it was flushed.
        """
        if self.stopped:
            return
        reader = self._reader = asyncio.create_task(self._read())
        # Also for a reader that is cancelled before its first step: its own code never runs then.
        reader.add_done_callback(lambda _: self._end())
        try:
            first_at: float | None = None
            while not (self._ended.is_set() and not self._texts):
                await self._ready.wait()
                flush = self._take()
                if flush is None:
                    break
                now = asyncio.get_running_loop().time()
                first_at = now if first_at is None else first_at
                yield flush
                await self._rest(now + self._policy.interval(now - first_at))
            if not self.stopped:
                await reader  # raises what the source raised
        finally:
            await self._close(reader)

    async def _close(self, reader: "asyncio.Task[None]") -> None:
        """Close the source, which frees the engine's slot, before the generator of flushes ends.

        An engine that hangs may not even end when its generation is cancelled.
        """
        if not reader.done():
            reader.cancel()
            await asyncio.wait([reader], timeout=_CLOSE_TIMEOUT_S)
        if not reader.done():
            self._stuck()
        elif not reader.cancelled():
            reader.exception()  # else asyncio would log it as never retrieved

    async def _read(self) -> None:
        try:
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    self._add(chunk)
        finally:
            self._end()

    def _add(self, chunk: TokenChunk) -> None:
        self._count(chunk)
        self._token_ids.extend(chunk.token_ids)
        if self._lengths is not None:
            self._lengths.extend(chunk.lengths or _lengths(chunk))
        self._finish_reason = chunk.finish_reason
        self._usage = chunk.usage
        self._stop = chunk.stop
        if chunk.cached_tokens is not None:
            self._cached_tokens = chunk.cached_tokens
        # A token may be half of a character: its id waits for the text that completes it, since
        # an attempt that continues after logged ids must know all the text they stand for.
        if chunk.text or chunk.finish_reason:
            self._texts.append(chunk.text)
            self._ready.set()

    def _count(self, chunk: TokenChunk) -> None:
        if not chunk.token_ids:
            return
        self._last_at = asyncio.get_running_loop().time()
        if not self.received:
            self._first_at, self._first_tokens = self._last_at, len(chunk.token_ids)
        self.received += len(chunk.token_ids)

    def _end(self) -> None:
        self._ended.set()
        self._ready.set()

    def _take(self) -> Flush | None:
        """Return everything that has gathered; None if there is no text and nothing follows."""
        if not self._texts:
            return None
        flush = Flush(
            "".join(self._texts),
            tuple(self._token_ids),
            self._finish_reason,
            self._usage,
            cached_tokens=self._cached_tokens,
            stop=self._stop,
            lengths=tuple(self._lengths or ()),
        )
        if self._lengths is not None:
            self._lengths.clear()
        self._texts.clear()
        self._token_ids.clear()
        if not self._ended.is_set():  # else nothing would set it again, and the consumer would hang
            self._ready.clear()
        return flush

    async def _rest(self, until: float) -> None:
        """Wait until the next flush is due, or the reading has ended."""
        if self._ended.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._ended.wait()


def _lengths(chunk: TokenChunk) -> Sequence[int]:
    """Return lengths for tokens of an engine that knows none: all begin where their chunk does."""
    return [*(0 for _ in chunk.token_ids[1:]), len(chunk.text)] if chunk.token_ids else ()
