"""Following responses in Valkey: one subscription connection for all readers of a process."""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import RedisError
from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.replies import Replies, send
from axon.event_log.follower import (
    FIRST_LOOK_S,
    RESTORE_S,
    PublicationListener,
    ResponseChannels,
    ResponseFollower,
)
from axon.event_log.log import EventLog
from axon.event_log.merger import CACHE_BYTES
from axon.event_log.publication import Publication
from axon.exceptions import UnavailableError
from axon.formats import UnreadableError, log_refusal
from axon.retry import backoff, sleep_unless
from axon.tasks import extend

logger = logging.getLogger(__name__)

SILENCE_S = 3.0
"""Seconds without an answer from the server after which the connection counts as dead."""
HEARTBEAT_S = 1.0
"""Seconds from one question to the server to the next."""
LEFT_S = 0.1
"""Seconds for which a channel may stay subscribed to without a listener: so one command is for all
that were left meanwhile."""


class ValkeyFollower(ResponseFollower):
    """Follows responses; `run` keeps the subscription, and is cancelled to end it.

    While `run` does not run, or Valkey cannot be subscribed to, events come from reads of the log
    alone, and so later.

    Parameters
    ----------
    valkey : Valkey
        Gives the subscription a connection of its own.
    log : EventLog
        Read when publications stay away or are missing.
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
        valkey: Valkey,
        log: EventLog,
        first_look_s: float = FIRST_LOOK_S,
        restore_s: float = RESTORE_S,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._subscription = ValkeyResponseChannels(valkey=valkey)
        super().__init__(
            log=log,
            channels=self._subscription,
            first_look_s=first_look_s,
            restore_s=restore_s,
            cache_bytes=cache_bytes,
        )

    @property
    def connected(self) -> bool:
        """True while publications arrive."""
        return self._subscription.connected

    async def run(self) -> None:
        """Keep the subscription until it is cancelled."""
        await self._subscription.run()


class ValkeyResponseChannels(ResponseChannels):
    """Subscribes to the channel of each response while it has a listener, over one connection.

    `listen` only notes what is desired. `run` alone talks to Valkey: it makes the connection's
    subscriptions equal to what is desired, and connects again after an error.

    A connection can be dead without a sign. So `run` subscribes to a channel of its own each
    second. The server confirms that each time; when the confirmations stay away, `run` connects
    again. It also does when a message to that channel reaches nobody: after a failover commands go
    to the new primary, while a subscription stays with the old one for as long as that answers. And
    it does when commands go to another generation: that of a subscription cannot be read again, and
    its publications would count as another server's.

    Attributes
    ----------
    own_channel : str
        The channel that is always subscribed to.
    """

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self.own_channel = keys.followers_channel(secrets.token_hex(8))
        self._listeners: dict[str, set[PublicationListener]] = {}
        # Channels of the current connection. A channel is requested from SUBSCRIBE to UNSUBSCRIBE,
        # and confirmed from the answer to the one to the answer to the other.
        self._requested: set[str] = set()
        self._confirmed: set[str] = set()
        # Channels with a listener that are not requested yet, and those that have lost their last
        # listener, and may have another one again. The latter wait for a timer.
        self._joined: set[str] = set()
        self._left: set[str] = set()
        self._leaves = False
        self._changed = asyncio.Event()
        self._generation = ""
        self._answered_at = 0.0

    @property
    def connected(self) -> bool:
        """True while the server answers."""
        return bool(self._confirmed) and time.monotonic() - self._answered_at < SILENCE_S

    @property
    def channels(self) -> frozenset[str]:
        """The channels that are subscribed to."""
        return frozenset(self._confirmed)

    @contextmanager
    @override
    def listen(self, response_id: str, listener: PublicationListener) -> Iterator[None]:
        channel = keys.response_channel(response_id)
        if (listeners := self._listeners.get(channel)) is None:
            listeners = self._listeners[channel] = set()
            self._joined.add(channel)
            self._changed.set()
        listeners.add(listener)
        try:
            yield
        finally:
            # Nothing is awaited here: a cancelled reader must not wait for Valkey.
            listeners.remove(listener)
            if not listeners:
                del self._listeners[channel]
                self._joined.discard(channel)
                if not self._left:
                    asyncio.get_running_loop().call_later(LEFT_S, self._leave)
                self._left.add(channel)

    def _leave(self) -> None:
        self._leaves = True
        self._changed.set()

    async def run(self) -> None:
        """Keep the subscriptions until it is cancelled."""
        pauses = backoff(longest_s=1.0)
        while True:
            began_at = time.monotonic()
            try:
                await self._connect()
            except* (RedisError, OSError, TimeoutError) as errors:
                logger.warning("the followers' subscription was lost: %r", errors.exceptions)
            if self._answered_at > began_at:  # it had worked: begin with short pauses again
                pauses = backoff(longest_s=1.0)
            await asyncio.sleep(next(pauses))

    async def _connect(self) -> None:
        pool = self._valkey.redis.connection_pool
        connection: AbstractConnection = pool.connection_class(
            **{**pool.connection_kwargs, "socket_timeout": None}
        )
        self._requested.clear()
        self._confirmed.clear()
        self._joined = set(self._listeners)
        try:
            async with asyncio.timeout(SILENCE_S):
                await connection.connect()  # type: ignore[no-untyped-call]
            self._generation = self._valkey.generations.of(connection)
            # Either task's error ends the other one, too: the next connection begins from nothing.
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(connection))
                group.create_task(self._subscribe(connection))
                group.create_task(self._check_server())
        finally:
            self._confirmed.clear()
            await connection.disconnect(nowait=True)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        ask_at = 0.0
        while True:
            # Cleared before the comparison: a change during a send is seen in the next round.
            self._changed.clear()
            now = time.monotonic()
            if self._leaves:
                await self._send(connection, "UNSUBSCRIBE", self._take_left())
            joined = self._take_joined()
            if now >= ask_at:
                joined.append(self.own_channel)
                ask_at = now + HEARTBEAT_S
            await self._send(connection, "SUBSCRIBE", joined)
            await sleep_unless(self._changed, ask_at - now)

    def _take_left(self) -> list[str]:
        """Return the channels to unsubscribe from."""
        left = [each for each in self._left & self._requested if each not in self._listeners]
        self._requested.difference_update(left)
        self._left.clear()
        self._leaves = False
        return left

    def _take_joined(self) -> list[str]:
        """Return the channels to subscribe to."""
        joined = list(self._joined - self._requested)
        self._requested.update(joined)
        self._joined.clear()
        return joined

    async def _send(
        self, connection: AbstractConnection, command: str, channels: Sequence[str]
    ) -> None:
        if channels:
            packed = pack_command((command, *channels))  # type: ignore[arg-type]
            await send(connection, packed)

    async def _check_server(self) -> None:
        """Raise once commands go to another server than the subscriptions."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            # Before the confirmation the message may overtake the subscription.
            confirmed = self.own_channel in self._confirmed
            with suppress(UnavailableError):
                received = await self._valkey.call("PUBLISH", self.own_channel, b"")
                other = self._generation not in ("", self._valkey.generation)
                if confirmed and (received == 0 or other):
                    raise ValkeyConnectionError("commands go to another server")

    async def _receive(self, connection: AbstractConnection) -> None:
        replies = Replies(connection)
        async with asyncio.timeout(SILENCE_S) as silence:
            while True:
                reply = await replies.next()
                if isinstance(reply, RedisError):  # such as a missing permission
                    raise reply
                kind, channel, payload = reply
                if kind == b"message":
                    self._publish(channel.decode(), payload)
                    continue
                # Only an answer proves that commands arrive and come back.
                self._answered_at = time.monotonic()
                extend(silence, SILENCE_S)
                if kind == b"subscribe":
                    self._confirm(channel.decode())
                else:
                    self._confirmed.discard(channel.decode())

    def _confirm(self, channel: str) -> None:
        if channel in self._confirmed:
            return
        self._confirmed.add(channel)
        # What was published before may be lost. Who listens since then reads the log.
        for listener in self._listeners.get(channel, ()):
            listener.request_read()

    def _publish(self, channel: str, payload: bytes) -> None:
        listeners = self._listeners.get(channel)
        if not listeners:  # it has just left
            return
        try:
            publication = Publication.decode(payload, generation=self._generation)
        except UnreadableError as error:
            log_refusal(error)
            # Its events are in the log; unasked, it is only read after a second of silence.
            for listener in listeners:
                listener.request_read()
            return
        for listener in listeners:
            listener.publish(publication)
