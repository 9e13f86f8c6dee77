"""Patience, in virtual time."""

import asyncio

import pytest

from axon.exceptions import FencedError, UnavailableError
from tests.unit.worker.virtual_time import now, run
from worker.patience import Patience


class Service:
    """Is away until a time; a call is answered with the number of the call."""

    def __init__(self, *, back_at: float) -> None:
        self.calls: list[float] = []
        self._back_at = back_at

    async def call(self) -> int:
        self.calls.append(now())
        if now() < self._back_at:
            raise UnavailableError("away")
        return len(self.calls)


def patience(exhausted: asyncio.Event | None = None, *, until_s: float = 1e6) -> Patience:
    return Patience(
        exhausted=exhausted or asyncio.Event(),
        until_ms=until_s * 1000,
        clock_ms=lambda: int(now() * 1000),
    )


def test_it_calls_until_it_is_answered() -> None:
    async def story() -> None:
        service = Service(back_at=300)
        answer = await patience().insist(service.call)
        assert answer == len(service.calls)
        assert 300 <= now() < 306
        assert 60 < len(service.calls) < 400

    run(story())


def test_what_is_there_is_called_once() -> None:
    async def story() -> None:
        service = Service(back_at=0)
        assert await patience().insist(service.call) == 1
        assert now() == 0

    run(story())


def test_it_ends_with_the_deadline() -> None:
    async def story() -> None:
        with pytest.raises(UnavailableError, match="away"):
            await patience(until_s=20).insist(Service(back_at=1000).call)
        assert 20 <= now() < 26

    run(story())


@pytest.mark.parametrize("after_s", [0, 7])
def test_it_ends_when_the_worker_drains(after_s: float) -> None:
    async def story() -> None:
        draining = asyncio.Event()
        asyncio.get_running_loop().call_later(after_s, draining.set)
        with pytest.raises(UnavailableError):
            await patience(draining).insist(Service(back_at=1000).call)
        assert now() == pytest.approx(after_s, abs=0.06)

    run(story())


def test_other_errors_are_not_for_it() -> None:
    async def refuse() -> None:
        raise FencedError("a newer attempt")

    async def story() -> None:
        with pytest.raises(FencedError):
            await patience().insist(refuse)

    run(story())
