"""The revoker of a front: ends what clients with a revoked API key have open (ADR 23)."""

import asyncio
import logging
from dataclasses import dataclass, field

from axon.event_log.log import EventLog, Status
from axon.exceptions import AxonError
from axon.responses.terminator import ResponseTerminator
from axon.tasks import TaskSet
from axon.tenants.revocation import KeyCheck
from front.reading import ResponseReader
from front.requests import OpenRequests

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds from one look at the keys of open requests to the next."""
ASKING_AT_ONCE = 32
"""Keys whose state is asked for at the same time."""
CANCELLING_AT_ONCE = 32
"""Responses that are cancelled at the same time."""
ENDING_S = 0.5
"""Seconds for the streams of a revoked key to end by themselves, since their responses are
cancelled; then their connections are closed. So everything has ended 1 s after a revocation, or 5 s
after one that Valkey did not get (`axon.tenants.revocation.VALID_S`)."""
CANCELLING_S = 10.0
"""Time limit in seconds for cancelling a response, with the wait for one of `CANCELLING_AT_ONCE`;
one that it leaves is cancelled once nobody attends it."""


@dataclass(frozen=True, kw_only=True)
class Revoker:
    """Cancels what revoked keys have asked for and read here, and closes what they have open.

    A request is authenticated once, and may be answered for minutes. Whatever fails is done again
    by the next step, since the requests are still open.
    """

    requests: OpenRequests
    keys: KeyCheck
    reader: ResponseReader
    log: EventLog
    terminator: ResponseTerminator

    _ending: TaskSet = field(
        init=False, default_factory=lambda: TaskSet(error="requests of a revoked key go on")
    )
    _slots: asyncio.Semaphore = field(
        init=False, default_factory=lambda: asyncio.Semaphore(CANCELLING_AT_ONCE)
    )
    _busy: set[str] = field(init=False, default_factory=set)

    async def step(self) -> None:
        """Look for open requests whose key was revoked, and begin to end them."""
        key_ids = list(self.requests.key_ids - self._busy)
        for first in range(0, len(key_ids), ASKING_AT_ONCE):
            page = key_ids[first : first + ASKING_AT_ONCE]
            await asyncio.gather(*map(self._check, page))

    async def cancel(self) -> None:
        """Give up what is not done: the front ends, and so do its connections."""
        await self._ending.cancel()

    async def _check(self, key_id: str) -> None:
        if await self.keys.is_revoked(key_id):
            self._busy.add(key_id)
            self._ending.start(self._end(key_id))

    async def _end(self, key_id: str) -> None:
        logger.info("key %s is revoked: %d requests end", key_id, len(self.requests.of(key_id)))
        try:
            # Beside the wait: neither a slow response nor many of them delay the disconnections.
            for response_id in self.reader.read_by(key_id):
                self._ending.start(self._cancel(response_id, key_id))
            await asyncio.sleep(ENDING_S)
            # Also requests of this key that read a response of another one of the tenant.
            for request in self.requests.of(key_id):
                request.disconnect()
        finally:
            self._busy.discard(key_id)

    async def _cancel(self, response_id: str, key_id: str) -> None:
        """Cancel a response that the key reads, unless another key of the tenant asked for it."""
        try:
            async with asyncio.timeout(CANCELLING_S), self._slots:
                meta = await self.log.describe(response_id)
                if meta is not None and meta.key_id == key_id:
                    await self.terminator.end(response_id, Status.CANCELLED, known=meta)
        except (AxonError, TimeoutError) as error:
            logger.warning("%s of the revoked key %s goes on: %r", response_id, key_id, error)
