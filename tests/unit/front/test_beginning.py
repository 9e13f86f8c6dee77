import asyncio
from collections.abc import AsyncGenerator

import pytest

from front.beginning import begun
from tests.support import virtual_time


class Items:
    """Gives 1 and 2, or fails, after some time."""

    def __init__(self, *, after_s: float, error: Exception | None = None) -> None:
        self.closed = False
        self._after_s = after_s
        self._error = error

    async def give(self) -> AsyncGenerator[int, None]:
        try:
            await asyncio.sleep(self._after_s)
            if self._error:
                raise self._error
            yield 1
            yield 2
        finally:
            self.closed = True


@pytest.mark.parametrize(("after_s", "entered_s"), [(3, 3), (10, 5)])
def test_beginning_is_the_first_item_or_the_time_limit(after_s: float, entered_s: float) -> None:
    async def main() -> None:
        items = Items(after_s=after_s)
        async with begun(items.give(), within_s=5) as given:
            assert virtual_time.now() == entered_s
            assert [item async for item in given] == [1, 2]
        assert virtual_time.now() == after_s
        assert items.closed

    virtual_time.run(main())


def test_beginning_fails_as_the_first_item_does() -> None:
    async def main() -> None:
        items = Items(after_s=3, error=ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            async with begun(items.give(), within_s=5):
                pytest.fail("there is nothing to begin with")

    virtual_time.run(main())


def test_beginning_that_failed_too_late_fails_at_the_first_item() -> None:
    async def main() -> None:
        async with begun(Items(after_s=6, error=ValueError("no")).give(), within_s=5) as given:
            with pytest.raises(ValueError, match="no"):
                await anext(given)

    virtual_time.run(main())


@pytest.mark.parametrize("left_at_s", [1, 7])
def test_beginning_closes_its_items_when_the_caller_leaves(left_at_s: float) -> None:
    async def main() -> None:
        items = Items(after_s=10)

        async def answer() -> None:
            async with begun(items.give(), within_s=5) as given:
                await anext(given)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(left_at_s):
                await answer()
        assert virtual_time.now() == left_at_s
        assert items.closed

    virtual_time.run(main())
