"""The publications of responses, in memory, for their followers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from typing_extensions import override

from axon.event_log.follower import PublicationListener, ResponseChannels
from axon.event_log.publication import Publication


class FakeResponseChannels(ResponseChannels):
    """Hands on what `axon.testing.event_log.FakeValkey` publishes, in the same step.

    While `connected` is false, publications are lost; `reconnect` makes each listener read.
    """

    def __init__(self) -> None:
        self.connected = True
        self.listeners: dict[str, set[PublicationListener]] = {}

    @contextmanager
    @override
    def listen(self, response_id: str, listener: PublicationListener) -> Iterator[None]:
        self.listeners.setdefault(response_id, set()).add(listener)
        try:
            yield
        finally:
            self.listeners[response_id].remove(listener)
            if not self.listeners[response_id]:
                del self.listeners[response_id]

    def publish(self, publication: Publication, *, generation: str = "") -> None:
        """Hand a publication of a server of this generation to the response's listeners."""
        if self.connected:
            publication = replace(publication, generation=generation)
            for listener in self.listeners.get(publication.response_id, ()):
                listener.publish(publication)

    def reconnect(self) -> None:
        """Deliver publications again, and make each listener read what it may have missed."""
        self.connected = True
        for listeners in self.listeners.values():
            for listener in listeners:
                listener.request_read()
