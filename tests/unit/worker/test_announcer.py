import asyncio
from contextlib import suppress

import pytest

from axon.exceptions import UnavailableError
from axon.testing.event_log import FakeValkey
from tests.unit.worker.virtual_time import now, run
from worker.announcer import announce


class Directory(FakeValkey):
    def __init__(self) -> None:
        super().__init__(clock=now)
        self.times: list[float] = []
        self.away_until = 0.0

    async def announce(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        self.times.append(now())
        if now() < self.away_until:
            raise UnavailableError("no Valkey")
        await super().announce(model_ids, retention_s=retention_s)


async def announced(directory: Directory, *, seconds: float, retention_s: float) -> bool:
    """Announce for a while; return whether it ever succeeded."""
    event = asyncio.Event()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await announce(directory, ("a", "b"), retention_s=retention_s, announced=event)
    return event.is_set()


def test_at_once_and_for_as_long_as_the_worker_runs() -> None:
    async def story() -> None:
        directory = Directory()
        await announced(directory, seconds=100, retention_s=9)
        assert directory.times == [pytest.approx(3.0 * n) for n in range(34)]
        assert await directory.list() == ["a", "b"]
        await asyncio.sleep(10)
        assert await directory.list() == []

    run(story())


def test_a_valkey_that_forgot_is_told_again_soon_though_the_retention_is_long() -> None:
    async def story() -> None:
        directory = Directory()
        await announced(directory, seconds=100, retention_s=7 * 24 * 3600)
        assert 10 <= len(directory.times) <= 30

    run(story())


def test_valkey_away_is_asked_again_soon() -> None:
    async def story() -> None:
        directory = Directory()
        directory.away_until = 2.5
        assert not await announced(directory, seconds=1.5, retention_s=60)
        assert await announced(directory, seconds=2, retention_s=60)
        assert directory.times == [0, 1, 1.5, 2.5]
        assert await directory.list() == ["a", "b"]

    run(story())
