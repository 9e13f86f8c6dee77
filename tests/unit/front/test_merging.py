import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from front.merging import merged


class Source:
    """Gives what a test puts in, until None; counts what was taken."""

    def __init__(self) -> None:
        self.given = asyncio.Queue[str | None]()
        self.taken = 0
        self.closed = False

    async def items(self) -> AsyncGenerator[str, None]:
        try:
            while (item := await self.given.get()) is not None:
                self.taken += 1
                yield item
        finally:
            self.closed = True


def put(source: Source, *items: str | None) -> None:
    for item in items:
        source.given.put_nowait(item)


async def collect(items: AsyncIterator[tuple[int, str]]) -> list[tuple[int, str]]:
    return [item async for item in items]


@pytest.mark.parametrize("count", [1, 3])
async def test_merged_gives_all_items_the_first_of_each_source_first(count: int) -> None:
    sources = [Source() for _ in range(count)]
    for number, source in reversed(list(enumerate(sources))):
        put(source, *(f"{number}{item}" for item in range(4)), None)
    items = await collect(merged([source.items() for source in sources]))
    assert items[:count] == [(number, f"{number}0") for number in range(count)]
    for number in range(count):
        own = [item for index, item in items if index == number]
        assert own == [f"{number}{item}" for item in range(4)]


async def test_merged_gives_an_item_as_soon_as_it_is_there() -> None:
    quick, slow = Source(), Source()
    put(quick, "a")
    put(slow, "b")
    async with aclosing(merged([quick.items(), slow.items()])) as items:
        assert [await anext(items), await anext(items)] == [(0, "a"), (1, "b")]
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        put(slow, "c")
        assert await waiting == (1, "c")


async def test_merged_holds_one_item_of_a_source_whose_items_nobody_takes() -> None:
    sources = [Source(), Source()]
    for source in sources:
        put(source, *"abcdef")
    async with aclosing(merged([source.items() for source in sources])) as items:
        await anext(items)
        await anext(items)
        await anext(items)
        for _ in range(10):
            await asyncio.sleep(0)
        assert max(source.taken for source in sources) <= 3


async def test_merged_can_be_closed_while_it_waits_and_then_its_sources() -> None:
    sources = [Source(), Source()]
    for source in sources:
        put(source, "a")
    followed = [source.items() for source in sources]
    items = merged(followed)
    await anext(items)
    await anext(items)
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await items.aclose()
    for each in followed:
        await each.aclose()
    assert all(source.closed for source in sources)


async def test_merged_raises_what_a_source_raises() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "a"
        raise ValueError("broken")

    silent = Source()
    put(silent, "b")
    async with aclosing(silent.items()) as quiet:
        with pytest.raises(ValueError, match="broken"):
            await collect(merged([quiet, broken()]))
