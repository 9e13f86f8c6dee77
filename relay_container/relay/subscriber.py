"""The relay's subscription: to its own channel, and to the one of relays that leave."""

import logging
from collections.abc import Callable

from axon.adapters.valkey import keys, subscriber
from axon.adapters.valkey.client import Valkey
from axon.event_log.publication import Publication

logger = logging.getLogger(__name__)


class RelaySubscriber(subscriber.Subscriber):
    """Receives publications until it is cancelled.

    Parameters
    ----------
    valkey : Valkey
        Gives the subscription a connection of its own.
    relay_id : str
        The relay whose channel is subscribed to.
    receive : Callable[[Publication], None]
        Takes each publication.
    resubscribed : Callable[[], None]
        Called after each subscription: publications arrive from now on, earlier ones may be lost.
    relay_left : Callable[[], None]
        Called when another relay has ended its lease.
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
        channel = keys.relay_channel(relay_id)
        super().__init__(
            valkey=valkey,
            channel=channel,
            receivers={
                channel: self._take,
                keys.RELAYS_LEFT: lambda _: relay_left(),
            },
            resubscribed=resubscribed,
        )
        self._receive = receive

    def _take(self, payload: bytes) -> None:
        try:
            publication = Publication.decode(payload)
        except ValueError:
            logger.exception("not a publication: %r", payload[:200])
            return
        self._receive(publication)
