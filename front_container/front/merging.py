"""Merging of what several iterators give, as it comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

from axon.tasks import end

T = TypeVar("T")


async def merged(sources: Sequence[AsyncIterator[T]]) -> AsyncGenerator[tuple[int, T], None]:
    """Yield the items of all sources, each with the number of its source.

    The first item of each one comes first, in the sources' order; the others as they come. One item
    of each source is held at most. This is to be closed before the sources, which it may wait for.

    Parameters
    ----------
    sources : Sequence[AsyncIterator[T]]
        Each gives one item at least, or raises what this raises then.
    """
    for index, source in enumerate(sources):
        yield index, await anext(source)
    if len(sources) == 1:  # the common case, without a task for each item
        async for item in sources[0]:
            yield 0, item
        return
    waiting = {index: asyncio.ensure_future(anext(each)) for index, each in enumerate(sources)}
    try:
        while waiting:
            await asyncio.wait(waiting.values(), return_when=asyncio.FIRST_COMPLETED)
            for index, task in [(index, task) for index, task in waiting.items() if task.done()]:
                try:
                    item = task.result()
                except StopAsyncIteration:
                    del waiting[index]
                    continue
                yield index, item
                waiting[index] = asyncio.ensure_future(anext(sources[index]))
    finally:
        for task in waiting.values():
            await end(task)
