"""A subscription to channels of Valkey that notices when it is dead, and subscribes again."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from redis.exceptions import RedisError

from axon.adapters.valkey.client import Valkey
from axon.retry import backoff
from axon.tasks import extend

logger = logging.getLogger(__name__)

SILENCE_S = 3.0


class Subscriber:
    """Listens until it is cancelled.

    A connection can be dead without a sign. So the subscriber's owner publishes a pulse, an empty
    message, to its own channel; when pulses stay away, the subscription is made again.

    Parameters
    ----------
    valkey : Valkey
        Gives the subscription a connection of its own, and publishes the pulses.
    channel : str
        The subscriber's own channel, to which `pulse` publishes; one of `receivers`.
    receivers : Mapping[str, Callable[[bytes], None]]
        Take what is published, by channel; must not raise.
    resubscribed : Callable[[], None]
        Called each time that messages begin to arrive; earlier ones may be lost.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        channel: str,
        receivers: Mapping[str, Callable[[bytes], None]],
        resubscribed: Callable[[], None] = lambda: None,
    ) -> None:
        self._valkey = valkey
        self._channel = channel
        self._receivers = {name.encode(): receive for name, receive in receivers.items()}
        self._resubscribed = resubscribed
        self.subscribed = asyncio.Event()
        self.generation = ""
        self._answered_at = 0.0
        self._silence: asyncio.Timeout | None = None

    @property
    def connected(self) -> bool:
        """True while messages arrive."""
        return self.subscribed.is_set() and time.monotonic() - self._answered_at < SILENCE_S

    async def pulse(self) -> None:
        """Publish one pulse; to be called each second or so.

        Subscribe again if the pulse reached nobody: after a failover commands go to the new
        primary, while a subscription stays with the old one for as long as that answers.
        Publications would arrive late or not at all, and the scripts would find no listener to
        grant events to. Subscribe again, too, if commands go to another generation: that of a
        subscription cannot be read again, and its publications would count as another server's.
        """
        listening = self._silence if self.subscribed.is_set() else None
        received = await self._valkey.call("PUBLISH", self._channel, b"")
        # Only the subscription from before the call: a later one is on another connection.
        if received and self.generation in ("", self._valkey.generation):
            return
        if listening and listening is self._silence and not listening.expired():
            self._silence = None
            listening.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Subscribe and listen, again and again."""
        waits = backoff(longest_s=1.0)
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                logger.warning("subscribing again: %r", error)
            if self.subscribed.is_set():
                self.subscribed.clear()
                waits = backoff(longest_s=1.0)
            await asyncio.sleep(next(waits))

    async def _listen(self) -> None:
        own = self._channel.encode()
        async with self._valkey.redis.pubsub() as pubsub, asyncio.timeout(SILENCE_S) as silence:
            self._silence = silence
            try:
                await pubsub.subscribe(*self._receivers)
                while True:
                    # The cheapest way: a third of what the iterator costs a message.
                    kind, channel, payload = await pubsub.parse_response(block=True)
                    if kind == b"message" and payload:
                        self._receivers[channel](payload)
                        continue
                    self._answered_at = time.monotonic()
                    if self._silence is not None:
                        extend(silence, SILENCE_S)
                    # Also after the client has reconnected by itself.
                    if kind == b"subscribe" and channel == own:
                        self.generation = self._valkey.generations.of(pubsub.connection)
                        self.subscribed.set()
                        self._resubscribed()
            finally:
                self._silence = None  # a timeout that has ended cannot be rescheduled
