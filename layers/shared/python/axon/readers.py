"""Readers: bounds how many large reads a process makes at a time, in all and for a tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from axon.exceptions import UnavailableError


class Readers:
    """Admits readers, each tenant's up to a share of all.

    Parameters
    ----------
    limit : int
        Most readers at a time.
    tenant_limit : int
        Most of them that are one tenant's.
    within_s : float
        Seconds that a reader waits until there are fewer.
    """

    def __init__(self, *, limit: int, tenant_limit: int, within_s: float) -> None:
        self._tenant_limit = tenant_limit
        self._within_s = within_s
        self._all = asyncio.Semaphore(limit)
        self._shares = WeakValueDictionary[str, asyncio.Semaphore]()

    @asynccontextmanager
    async def turn(self, tenant_id: str) -> AsyncIterator[None]:
        """Read while the context is entered.

        Raises
        ------
        UnavailableError
            There were too many readers for all of the time.
        """
        share = self._shares.setdefault(tenant_id, asyncio.Semaphore(self._tenant_limit))
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(self._within_s):
                    await turns.enter_async_context(share)
                    await turns.enter_async_context(self._all)
            except TimeoutError as error:
                raise UnavailableError("too many stored responses are being read") from error
            yield
