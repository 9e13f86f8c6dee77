"""Going on with what another relay had to deliver."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from axon.directory.relays import RelayDirectory, TakenOver
from relay.dispatcher import Dispatcher
from relay.lease import Lease
from relay.retries import UNTIL_DONE

logger = logging.getLogger(__name__)

EVERYTHING = 1_000_000


class Failover:
    """Adopts the responses of relays whose lease has ended.

    Where it is known which events have arrived, delivery goes on with the next. Where one post's
    fate is uncertain, the connection is closed: its client resumes, and never sees a gap.

    Parameters
    ----------
    taken_over : Callable[[bool], None]
        Told of each connection whether it goes on.
    """

    def __init__(
        self,
        *,
        relay_id: str,
        directory: RelayDirectory,
        lease: Lease,
        dispatcher: Dispatcher,
        taken_over: Callable[[bool], None],
    ) -> None:
        self._relay_id = relay_id
        self._directory = directory
        self._lease = lease
        self._dispatcher = dispatcher
        self._adopted = taken_over

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
            while taken_over := await self._directory.take_over(
                relay_id, successor_id=self._relay_id
            ):
                logger.warning("taken_over %d responses of relay %s", len(taken_over), relay_id)
                self.go_on(taken_over)

    async def own(self) -> list[TakenOver]:
        """Adopt what a former life under the same name has left."""
        adopt = partial(
            self._directory.take_over, self._relay_id, successor_id=self._relay_id, limit=EVERYTHING
        )
        return await UNTIL_DONE.run(adopt)

    def go_on(self, taken_over: Iterable[TakenOver]) -> None:
        """Deliver, or close connections."""
        connections: dict[str, list[TakenOver]] = defaultdict(list)
        for response in taken_over:
            connections[response.connection_id].append(response)
        for connection_id, responses in connections.items():
            certain = all(response.checkpoint.certain for response in responses)
            self._adopted(certain)
            if not certain:
                self._dispatcher.close(
                    connection_id, [response.response_id for response in responses]
                )
                continue
            for response in responses:
                first = response.checkpoint.next_sequence
                self._dispatcher.go_on(response.response_id, connection_id, first=first)
