"""Following a response: any number of readers, each from any event on, to the terminal event.

A follower is not a delivery. It has no checkpoint, no grant and no say in who delivers the response
to a WebSocket connection; neither does it count as somebody who waits for a response that is
delivered. A followed response has nobody else: whose reader this is extends its attendance
(`axon.event_log.attendance`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Protocol

from axon.clock import now_ms
from axon.event_log.checkpoint import is_behind_fork
from axon.event_log.log import EventLog, LoggedEvent, ResponseMeta
from axon.event_log.merger import CACHE_BYTES, EventMerger
from axon.event_log.publication import Publication
from axon.exceptions import LostEventsError, MissingResponseError
from axon.retry import RetryPolicy

READ_LIMIT = 256
"""Events that are read from the log at a time."""
FIRST_LOOK_S = 1.0
"""Seconds without a publication after which the log is read."""
RAREST_LOOK_S = 8.0
"""Upper bound of that time, which doubles with each read that brings nothing."""
RESTORE_S = 5.0
"""Seconds that a lost log has to reappear: its worker restores it with its next append."""
UNAVAILABLE_S = 30.0
"""Seconds for which a read is retried while the log is unavailable."""


class PublicationListener(Protocol):
    """Takes the publications of one response. Its methods return at once and never raise."""

    def publish(self, publication: Publication) -> None:
        """Take a publication."""
        ...

    def request_read(self) -> None:
        """Note that publications begin to arrive now, and that earlier ones may be lost."""
        ...


class ResponseChannels(Protocol):
    """The publications of all responses, each on a channel of its own."""

    def listen(
        self, response_id: str, listener: PublicationListener
    ) -> AbstractContextManager[None]:
        """Pass the response's publications to the listener while the context is entered."""
        ...


FollowedEvents = AsyncGenerator[LoggedEvent, None]


class ResponseFollower:
    """Reads responses of tenants as they grow; several can be followed at once.

    Publications only make it fast. Whatever happens to them, the log is read after some
    silence, so each wait has a bound.

    After a failover the log has another generation, and may lack events that were handed out. Until
    the log of that generation holds them, nothing more is handed out. If another attempt may have
    put other events in their place (a fork), the follower ends. If the log is only shorter, it
    waits: the attempt that holds the missing events appends them again.

    Parameters
    ----------
    log : EventLog
        Read when publications stay away or are missing.
    channels : ResponseChannels
        Where the publications of followed responses arrive.
    first_look_s : float
        Seconds without a publication after which the log is read.
    restore_s : float
        Seconds that a lost log has to reappear.
    cache_bytes : int
        The most that is kept for each reader that is slower than the response.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        channels: ResponseChannels,
        first_look_s: float = FIRST_LOOK_S,
        restore_s: float = RESTORE_S,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._log = log
        self._channels = channels
        self._first_look_s = first_look_s
        self._restore_s = restore_s
        self._cache_bytes = cache_bytes

    @contextmanager
    def expect(self, response_id: str) -> Iterator[Callable[[], FollowedEvents]]:
        """Listen to a response from before its log is opened; give what yields its events.

        The caller opens it, and iterates over what the function returns, in this context. All is as
        of `follow`, but nothing is read from the log unless publications are missing: the one of
        event 0 shows that the subscription was there from the beginning.

        Parameters
        ----------
        response_id : str
            A new one, which is the caller's to open. No tenant is checked.
        """
        merger = EventMerger(response_id=response_id, cache_bytes=self._cache_bytes)
        generation = self._log.generation
        reader = self._reader(merger, generation=generation, forks="")

        def events() -> FollowedEvents:
            # Without event 0, the subscription may have come later than the first publications.
            if merger.peek() is None:
                reader.request_read()
            return self._events(reader)

        with self._channels.listen(response_id, reader):
            yield events

    async def follow(self, response_id: str, *, tenant_id: str, after: int = -1) -> FollowedEvents:
        """Yield the events that follow a sequence number, up to the terminal event.

        Close the generator, for example by `contextlib.aclosing`, when the loop over it may end
        early; a cancelled task closes it by itself.

        Parameters
        ----------
        response_id : str
            The response to follow, running or ended.
        tenant_id : str
            The tenant that asks; a response of another tenant counts as missing.
        after : int
            Sequence number of the last event that the caller has; -1 for all events.

        Yields
        ------
        LoggedEvent
            Without its token ids, which are not published.

        Raises
        ------
        MissingResponseError
            The log has no such response of this tenant.
        LostEventsError
            The log does not hold event `after`, or holds the following ones no longer, or another
            attempt may have put other events in the place of those that the caller has.
        UnavailableError
            The log was unavailable for `UNAVAILABLE_S`.
        """
        reader = await self._begin(response_id, tenant_id=tenant_id, after=after)
        # Listening begins before the first read: what the read does not see is published later.
        # The read is always made: events may have been appended since `_begin` looked, and a
        # channel that another reader of this process has subscribed to confirms nothing again.
        with self._channels.listen(response_id, reader):
            reader.request_read()
            async with aclosing(self._events(reader)) as events:
                async for event in events:
                    yield event

    async def _events(self, reader: "_Reader") -> FollowedEvents:
        while not reader.merger.finished:
            # Taken before the yield: a caller that does not come back leaves nothing half done.
            if reader.confirmed and (event := reader.take()) is not None:
                yield event
            else:
                await self._step(reader)

    async def _begin(self, response_id: str, *, tenant_id: str, after: int) -> "_Reader":
        # Read before the log: a failover meanwhile makes the reader confirm its position.
        generation: str | None = self._log.generation
        meta = await self._describe(response_id)
        if meta is None or meta.tenant_id != tenant_id:
            # The same error for both: a tenant must not learn of another's responses.
            raise MissingResponseError(f"{response_id} is not in the event log")
        forks = meta.forks
        if is_behind_fork(forks, after + 1):
            # The caller says what it has by a number alone, and may have the events that another
            # attempt has replaced. Where the response is delivered now says nothing: a relay
            # confirms what its own client has, and a reader may have been ahead of that one.
            raise LostEventsError(f"{response_id}: the log may have other events up to {after}")
        if after >= meta.next_sequence:
            if _has_ended_short(meta):
                raise LostEventsError(f"{response_id}: the log has no event {after}")
            generation, forks = None, ""  # the holder of the lost events may append them again
        merger = EventMerger(
            response_id=response_id, first=after + 1, cache_bytes=self._cache_bytes
        )
        merger.learn(meta.next_sequence, ended=meta.status.terminal)
        return self._reader(merger, generation=generation, forks=forks)

    def _reader(self, merger: EventMerger, *, generation: str | None, forks: str) -> "_Reader":
        return _Reader(
            merger,
            log=self._log,
            look_s=self._first_look_s,
            generation=generation,
            forks=forks,
        )

    async def _step(self, reader: "_Reader") -> None:
        """Read the log, or wait until there is a reason to."""
        # Before anything is awaited: what is published during a look at the log ends the wait that
        # may follow it.
        reader.clear_news()
        if not reader.confirmed:
            if not await self._confirm(reader):
                await self._wait_for_repair(reader)
        elif reader.merger.must_read:
            await self._read(reader)
        elif not await reader.news() and not await self._confirm(reader):
            # One look at the state after a silence, not at the events, too: thousands may be idle.
            await self._wait_for_repair(reader)

    async def _read(self, reader: "_Reader") -> None:
        merger, generation = reader.merger, reader.generation
        after = merger.begin_read()
        events = await _retry().run(
            lambda: self._log.read(merger.response_id, after=after, limit=READ_LIMIT)
        )
        if not events and not await self._confirm(reader):
            merger.request_read()
            await self._wait_for_repair(reader)
            return
        # The log exists, so a later loss has its full grace time.
        reader.missing_since = None
        if reader.generation == generation:  # otherwise what was known before the read is void
            merger.end_read(events, complete=len(events) < READ_LIMIT)

    async def _wait_for_repair(self, reader: "_Reader") -> None:
        """Wait for an append to a log that is missing or too short, or for the next look at it.

        Not for as long as the silence before the failover has made the looks rare.
        """
        left_s = float("inf")
        if reader.missing_since is not None:
            left_s = self._restore_s - reader.missing_for()
        await reader.news(at_most_s=min(self._first_look_s, left_s))

    async def _confirm(self, reader: "_Reader") -> bool:
        """Return whether the log holds what the reader has; learn how many events it has.

        Until it does, nothing is handed out: another attempt may put other events in the place of
        those that the reader has, and leaves a fork then.

        Raises
        ------
        LostEventsError
            The events that the reader has were lost, and nobody appends them again.
        """
        merger, generation = reader.merger, self._log.generation
        if not reader.confirmed:
            merger.forget()  # what was published before may be lost
        meta = await self._describe(merger.response_id)
        if meta is None:
            # Valkey has lost its data, or the log has expired. In the first case the response's
            # worker makes the log again, with the same events.
            if reader.missing_for() >= self._restore_s:
                raise LostEventsError(f"{merger.response_id} is no longer in the event log")
            return False
        # Forks that the reader was confirmed with say nothing. Neither do those of its generation:
        # they were added ahead of it, and it has read on from there. Compared after the call, which
        # may have reached another generation.
        forks = meta.forks.removeprefix(reader.forks)
        if not reader.confirmed and is_behind_fork(forks, merger.next_sequence):
            raise LostEventsError(f"{merger.response_id}: its log has other events than before")
        if meta.next_sequence < merger.next_sequence:
            if _has_ended_short(meta):
                raise LostEventsError(f"{merger.response_id}: its log has begun again")
            reader.missing_since = None
            return False
        reader.confirm(generation, forks=meta.forks)
        merger.learn(meta.next_sequence, ended=meta.status.terminal)
        return True

    async def _describe(self, response_id: str) -> ResponseMeta | None:
        return await _retry().run(lambda: self._log.describe(response_id, with_job=False))


class _Reader:
    """One reader of one response: its merger, and its wait for news."""

    def __init__(
        self,
        merger: EventMerger,
        *,
        log: EventLog,
        look_s: float,
        generation: str | None,
        forks: str,
    ) -> None:
        self.merger = merger
        self.generation = generation
        self.forks = forks
        self.missing_since: float | None = None
        self._log = log
        self._first_look_s = look_s
        self._look_s = look_s
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def confirmed(self) -> bool:
        """True if the log's generation is the one that holds what the reader has."""
        return self.generation == self._log.generation

    def confirm(self, generation: str, *, forks: str) -> None:
        """Note that the log of this generation, with these forks, holds what the reader has."""
        self.missing_since = None
        self.generation, self.forks = generation, forks

    def publish(self, publication: Publication) -> None:
        if publication.generation in ("", self._log.generation):
            self.merger.publish(publication)
        else:
            # Published by a server that commands do not go to: before a failover, or just after
            # it. The log that commands read decides what is handed out.
            self.merger.request_read()
        self._wake()

    def request_read(self) -> None:
        self.merger.request_read()
        self._wake()

    def _wake(self) -> None:
        self._has_news = True
        if self._waiter is not None:
            _end_wait(self._waiter)

    def take(self) -> LoggedEvent | None:
        """Return the next event, if it is here, and move past it."""
        if (data := self.merger.peek()) is None:
            return None
        event = LoggedEvent(self.merger.next_sequence, data)
        self.merger.advance()
        self._look_s = self._first_look_s
        return event

    def clear_news(self) -> None:
        """Forget the calls of `publish` and `request_read` so far.

        To be called before the look at the merger or the log that decides whether to wait, with
        nothing awaited in between: so no call is missed.
        """
        self._has_news = False

    async def news(self, *, at_most_s: float = float("inf")) -> bool:
        """Wait for `publish` or `request_read`, ever longer.

        Return whether one was called since `clear_news`.
        """
        if not self._has_news:
            # A future and a timer: an event with `asyncio.timeout` costs several times as much, and
            # this is called for each publication.
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(min(self._look_s, at_most_s), _end_wait, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        self._look_s = min(RAREST_LOOK_S, 2 * self._look_s)
        return self._has_news

    def missing_for(self) -> float:
        """Return the seconds since the log was first found missing."""
        now = asyncio.get_running_loop().time()
        self.missing_since = now if self.missing_since is None else self.missing_since
        return now - self.missing_since


def _end_wait(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _has_ended_short(meta: ResponseMeta) -> bool:
    """Return whether a log that is shorter than what a reader has remains so.

    An incomplete one of a running response does not: the attempt that holds the lost events appends
    them again, or another one claims the response or ends it, which leaves a fork or an end.
    """
    return meta.status.terminal or not meta.incomplete


def _retry() -> RetryPolicy:
    """Return a retry policy that ends `UNAVAILABLE_S` from now."""
    return RetryPolicy(deadline_ms=now_ms() + UNAVAILABLE_S * 1000)
