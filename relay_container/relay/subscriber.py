"""The relay's one subscription: listens to its channel, and notices when it cannot."""

import asyncio
import logging
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from axon.adapters import valkey_keys
from axon.adapters.valkey import Valkey
from axon.backoff import pauses
from relay.publication import Publication

logger = logging.getLogger(__name__)

SILENCE_S = 3.0


class Subscriber:
    """Listens until it is cancelled.

    A connection can be dead without a sign, so the relay publishes a pulse, an empty message, to
    itself; when it stays away, the subscription is made anew.

    Parameters
    ----------
    receive : takes each publication.
    resubscribed : called each time that publications begin to arrive; earlier ones may be lost.
    relay_left : called when a relay has said that it leaves.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        relay_id: str,
        receive: Callable[[Publication], None],
        resubscribed: Callable[[], None],
        relay_left: Callable[[], None],
    ) -> None:
        self._valkey = valkey
        self._channel = valkey_keys.relay_channel(relay_id)
        self._receive = receive
        self._resubscribed = resubscribed
        self._relay_left = relay_left
        self.subscribed = asyncio.Event()
        self._heard_at = 0.0

    @property
    def hears(self) -> bool:
        """Whether a publication would be heard."""
        return self.subscribed.is_set() and time.monotonic() - self._heard_at < SILENCE_S

    async def pulse(self) -> None:
        """Publish one pulse; to be called each second or so."""
        await self._valkey.call("PUBLISH", self._channel, b"")

    async def run(self) -> None:
        """Subscribe and listen, again and again."""
        waits = pauses(most_s=1.0)
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                logger.warning("subscribing anew: %r", error)
            if self.subscribed.is_set():
                self.subscribed.clear()
                waits = pauses(most_s=1.0)
            await asyncio.sleep(next(waits))

    async def _listen(self) -> None:
        async with self._valkey.redis.pubsub() as pubsub, asyncio.timeout(SILENCE_S) as silence:
            await pubsub.subscribe(self._channel, valkey_keys.RELAYS_LEFT)
            while True:
                # The cheapest way: a third of what the iterator costs a message.
                kind, channel, payload = await pubsub.parse_response(block=True)
                if kind == b"message" and payload:
                    if channel == valkey_keys.RELAYS_LEFT.encode():
                        self._relay_left()
                    else:
                        self._take(payload)
                    continue
                self._heard_at = time.monotonic()
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE_S)
                if (
                    kind == b"subscribe" and channel == self._channel.encode()
                ):  # also after the client has reconnected by itself
                    self.subscribed.set()
                    self._resubscribed()

    def _take(self, payload: bytes) -> None:
        try:
            publication = Publication.decode(payload)
        except ValueError:
            logger.exception("not a publication: %r", payload[:200])
            return
        self._receive(publication)
