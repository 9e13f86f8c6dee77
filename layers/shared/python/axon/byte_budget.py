"""ByteBudget: bounds the bytes that a process holds for one purpose at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axon.exceptions import UnavailableError


class ByteBudget:
    """Admits holders in the order of their arrival, as far as their bytes fit.

    What is larger than the budget is admitted alone.

    Parameters
    ----------
    most : int
        Bytes that are held together.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting = deque[tuple[int, asyncio.Future[None]]]()

    @property
    def most(self) -> int:
        """Bytes that are held together."""
        return self._most

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._most - self._free

    @asynccontextmanager
    async def hold(self, count: int, *, within_s: float | None) -> AsyncIterator[None]:
        """Hold bytes while the context is entered.

        Parameters
        ----------
        count : int
            The bytes.
        within_s : float | None
            Seconds to wait for them; None where something else ends the wait.

        Raises
        ------
        UnavailableError
            There was no room for all of the time.
        """
        count = await self.take(count, within_s=within_s)
        try:
            yield
        finally:
            self.give_back(count)

    async def take(self, count: int, *, within_s: float | None) -> int:
        """Hold bytes from now on; return how many are to be given back.

        The parameters and errors are those of `hold`.
        """
        count = min(count, self._most)
        try:
            async with asyncio.timeout(within_s):
                await self._take(count)
        except TimeoutError as error:
            raise UnavailableError("too many large requests are being handled") from error
        return count

    def give_back(self, count: int) -> None:
        """Hold bytes no longer that were taken."""
        self._free += count
        self._admit()

    async def _take(self, count: int) -> None:
        if not self._waiting and count <= self._free:
            self._free -= count
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(count)  # it was admitted in the same step
            else:
                self._waiting.remove((count, turn))
                self._admit()  # the next ones may be smaller
            raise

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            count, turn = self._waiting.popleft()
            self._free -= count
            turn.set_result(None)
