"""How long to wait before something is tried again."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress


def pauses(*, first_s: float = 0.05, most_s: float = 5.0) -> Iterator[float]:
    """Yield pauses in seconds, without end: each is random below a bound that doubles."""
    bound = first_s
    while True:
        yield random.uniform(0, bound)  # noqa: S311 - spreads load, keeps no secret
        bound = min(most_s, bound * 2)


async def rest(seconds: float, *, until: asyncio.Event) -> None:
    """Wait, but no longer than until the event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
