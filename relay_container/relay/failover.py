"""Going on with what another relay had to deliver."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from axon.directory.relays import RelayDirectory, TakenOver
from relay.dispatcher import Dispatcher
from relay.insist import insist
from relay.lease import Lease

logger = logging.getLogger(__name__)

EVERYTHING = 1_000_000


class Failover:
    """Adopts the responses of relays whose lease has ended.

    Where it is known which events have arrived, delivery goes on with the next. Where one post's
    fate is uncertain, the connection is closed: its client resumes, and never sees a gap.

    Parameters
    ----------
    adopted : Callable[[bool], None]
        Told of each connection whether it goes on.
    """

    def __init__(
        self,
        *,
        relay_id: str,
        directory: RelayDirectory,
        lease: Lease,
        dispatcher: Dispatcher,
        adopted: Callable[[bool], None],
    ) -> None:
        self._relay_id = relay_id
        self._directory = directory
        self._lease = lease
        self._dispatcher = dispatcher
        self._adopted = adopted

    async def step(self) -> None:
        """Deal with every relay whose lease has ended.

        If that has happened to this one, too, Valkey was away: the others are given another beat.
        """
        expired = await self._directory.expired()
        if not self._lease.alive:
            return
        for relay_id in expired:
            if relay_id == self._relay_id:
                continue  # the clocks disagree
            while adopted := await self._directory.adopt(relay_id, adopter_id=self._relay_id):
                logger.warning("adopted %d responses of relay %s", len(adopted), relay_id)
                self.go_on(adopted)

    async def own(self) -> list[TakenOver]:
        """Adopt what a former life under the same name has left."""
        adopt = partial(
            self._directory.adopt, self._relay_id, adopter_id=self._relay_id, limit=EVERYTHING
        )
        return await insist(adopt)

    def go_on(self, adopted: Iterable[TakenOver]) -> None:
        """Deliver, or close connections."""
        connections: dict[str, list[TakenOver]] = defaultdict(list)
        for response in adopted:
            connections[response.connection_id].append(response)
        for connection_id, responses in connections.items():
            certain = all(response.mark.certain for response in responses)
            self._adopted(certain)
            if not certain:
                self._dispatcher.close(
                    connection_id, [response.response_id for response in responses]
                )
                continue
            for response in responses:
                first = response.mark.next_sequence
                self._dispatcher.go_on(response.response_id, connection_id, first=first)
