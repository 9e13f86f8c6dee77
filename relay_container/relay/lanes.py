"""The lanes of one connection: which of its deliveries may post. No I/O."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable

from relay.cursor import DeliveryCursor


class _Lane:
    """Deliveries of one lane; its head is the only one that may post.

    The head is the delivery of the lowest order. One that has begun to post stays the head until it
    leaves, also if one of a lower order comes: the client would get the events of two responses
    mixed. While a response is looked up that may come first, there is no new head.
    """

    def __init__(self) -> None:
        self.deliveries: list[DeliveryCursor] = []
        self.looked_up: set[str] = set()
        self.head: DeliveryCursor | None = None
        self.begun = False

    def choose(self) -> list[DeliveryCursor]:
        """Choose the head again; return the deliveries for which something has changed."""
        if self.begun:
            return []
        former = self.head
        self.head = self.deliveries[0] if self.deliveries and not self.looked_up else None
        if former is self.head:
            return []
        if former in self.deliveries:
            former.hold_back()
        if self.head is not None and self.head.waiting:
            self.head.go_ahead()
        return [delivery for delivery in (former, self.head) if delivery in self.deliveries]


class Lanes:
    """Decides which deliveries of a connection wait for others of their lane.

    Deliveries without a lane never wait. Methods return the deliveries that became the head of
    their lane or are not any more, so that the caller gives them a turn.
    """

    def __init__(self) -> None:
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)

    def add(self, delivery: DeliveryCursor) -> Iterable[DeliveryCursor]:
        """Add a delivery at the place that its order gives it."""
        if not delivery.position.lane:
            return ()
        lane = self._lanes[delivery.position.lane]
        insort(lane.deliveries, delivery, key=lambda member: member.position.order)
        changed = lane.choose()
        if lane.head is not delivery:
            delivery.hold_back()
        return changed

    def remove(self, delivery: DeliveryCursor) -> Iterable[DeliveryCursor]:
        """Remove a delivery; the next one of its lane may post."""
        lane = self._lanes.get(delivery.position.lane)
        if lane is None or delivery not in lane.deliveries:
            return ()
        lane.deliveries.remove(delivery)
        if lane.head is delivery:
            lane.head, lane.begun = None, False
        return self._chosen(delivery.position.lane)

    def begin(self, delivery: DeliveryCursor) -> None:
        """Note that a delivery begins to post, if it is the head of its lane."""
        lane = self._lanes.get(delivery.position.lane)
        if lane is not None and lane.head is delivery:
            lane.begun = True

    def close(self, name: str, response_id: str) -> Iterable[DeliveryCursor]:
        """Keep a lane from beginning another response while this one is looked up."""
        self._lanes[name].looked_up.add(response_id)
        return self._chosen(name)

    def open(self, name: str, response_id: str) -> Iterable[DeliveryCursor]:
        """Undo `close`: the response was found and added, or there is nothing to wait for."""
        if name not in self._lanes:
            return ()
        self._lanes[name].looked_up.discard(response_id)
        return self._chosen(name)

    def _chosen(self, name: str) -> Iterable[DeliveryCursor]:
        lane = self._lanes[name]
        changed = lane.choose()
        if not lane.deliveries and not lane.looked_up:
            del self._lanes[name]
        return changed
