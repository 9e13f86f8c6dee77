"""Failover: taking over what relays that have died or left had to deliver."""

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
"""More connections than one relay serves."""


class Failover:
    """Takes over the responses of relays whose lease has ended.

    Where the checkpoint says which events have arrived, delivery goes on with the next one. Where a
    post is in doubt, the connection is closed: its client resumes, and never sees a gap.

    Parameters
    ----------
    relay_id : str
        The relay that takes over.
    directory : RelayDirectory
        Lists the relays whose lease has ended, and their responses.
    lease : Lease
        This relay's own; without it nothing is taken over.
    dispatcher : Dispatcher
        Delivers what is taken over.
    taken_over : Callable[[bool], None]
        Called for each connection with whether its delivery continues.
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
        self._taken_over = taken_over

    async def step(self) -> None:
        """Take over from every relay whose lease has ended."""
        expired = await self._directory.expired()
        if not self._lease.alive or self._lease.resumed:
            # If this relay could not renew its own lease either, Valkey was away, and the others
            # are most likely alive: they get the time for another renewal.
            return
        # One that has ended its lease itself closes what is lost (`relay.departure`).
        died = set(await self._directory.lapsed()) if expired else ()
        for relay_id in expired:
            if relay_id == self._relay_id:
                continue  # its lease has ended by Valkey's clock, and not yet by this one's
            # First: a relay of which nothing is left is not listed any more.
            if relay_id in died:
                await self.close_lost(relay_id)
            while taken_over := await self._directory.take_over(
                relay_id, successor_id=self._relay_id
            ):
                logger.warning("took over %d responses of relay %s", len(taken_over), relay_id)
                self.deliver(taken_over)

    async def take_over_own(self) -> list[TakenOver]:
        """Take over what an earlier process with the same relay id has left; return it."""
        take_over = partial(
            self._directory.take_over, self._relay_id, successor_id=self._relay_id, limit=EVERYTHING
        )
        return await UNTIL_DONE.run(take_over)

    async def close_lost(self, relay_id: str) -> None:
        """Close the connections of which a relay that has died knew that no log has a response."""
        lost = await UNTIL_DONE.run(partial(self._directory.lost, relay_id))
        for connection_id in lost:
            self._taken_over(False)
            self._dispatcher.close(connection_id)

    def deliver(self, taken_over: Iterable[TakenOver]) -> None:
        """Deliver responses that were taken over, or close their connections."""
        connections: dict[str, list[TakenOver]] = defaultdict(list)
        for response in taken_over:
            connections[response.connection_id].append(response)
        for connection_id, responses in connections.items():
            # One response in doubt is enough: its event may be on the connection, and nothing but
            # the connection's end tells the client to ask.
            certain = all(response.checkpoint.certain for response in responses)
            self._taken_over(certain)
            if not certain:
                self._dispatcher.close(
                    connection_id, [response.response_id for response in responses]
                )
                continue
            for response in responses:
                first = response.checkpoint.next_sequence
                self._dispatcher.deliver_from(
                    response.response_id, connection_id, first=first, position=response.position
                )
