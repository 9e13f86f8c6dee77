"""The relay's subscription: to its own channel, and to the one of relays that leave."""

import logging
from collections.abc import Callable

from axon.adapters.valkey import keys, subscriber
from axon.adapters.valkey.client import Valkey
from axon.event_log.publication import Publication
from axon.formats import Refused, UnreadableError, log_refusal

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
    refused : Refused
        Notified of each publication that could not be read. Nothing is lost with it: its events
        are in the log, which deliveries read after a gap or a second of silence.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        relay_id: str,
        receive: Callable[[Publication], None],
        resubscribed: Callable[[], None],
        relay_left: Callable[[], None],
        refused: Refused = log_refusal,
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
        self._refused = refused

    def _take(self, payload: bytes) -> None:
        try:
            publication = Publication.decode(payload, generation=self.generation)
        except UnreadableError as error:
            self._refused(error)
            return
        self._receive(publication)
