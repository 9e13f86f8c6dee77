"""The beginning of an answer: held back until its first part is known, for a limited time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from axon.tasks import end

T = TypeVar("T")


@asynccontextmanager
async def begun(
    items: AsyncGenerator[T, None], *, within_s: float
) -> AsyncGenerator[AsyncIterator[T], None]:
    """Enter the context when the first item has come, or the time is over; give the items.

    What the generator raises in that time, entering the context raises: an answer that has not
    begun can still have the status of an error.

    Parameters
    ----------
    items : AsyncGenerator[T, None]
        Gives one item at least, or raises. It is closed with the context.
    within_s : float
        Seconds to wait for the first item.
    """
    async with aclosing(items):
        first = asyncio.ensure_future(anext(items))
        try:
            # Not `wait_for`, which would end the generator at the time's end.
            await asyncio.wait([first], timeout=within_s)
            if first.done():
                first.result()
            yield _from(first, items)
        finally:
            # A generator that still runs in the task cannot be closed.
            await end(first)


async def _from(first: asyncio.Future[T], rest: AsyncIterator[T]) -> AsyncIterator[T]:
    yield await first
    async for item in rest:
        yield item
