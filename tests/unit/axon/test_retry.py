import asyncio
import random
from itertools import islice

import pytest

from axon.exceptions import FencedError, PermanentRefusalError, UnavailableError
from axon.retry import RetryPolicy, backoff
from tests.support.virtual_time import now, run


class Service:
    """Fails until a time; a call returns its own number."""

    def __init__(self, *, back_at_s: float) -> None:
        self.called_at_s: list[float] = []
        self._back_at_s = back_at_s

    async def call(self) -> int:
        self.called_at_s.append(now())
        if now() < self._back_at_s:
            raise UnavailableError("away")
        return len(self.called_at_s)


def policy(stop: asyncio.Event | None = None, *, until_s: float = 1e6) -> RetryPolicy:
    return RetryPolicy(stop=stop, deadline_ms=until_s * 1000, clock_ms=lambda: int(now() * 1000))


def test_backoff_stays_below_a_bound_that_doubles() -> None:
    bounds = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for _ in range(50):
        drawn = list(islice(backoff(first_s=0.05, longest_s=1.0), len(bounds)))
        assert all(0 <= pause <= bound for pause, bound in zip(drawn, bounds, strict=True))


def test_backoff_is_random() -> None:
    assert len({next(backoff()) for _ in range(20)}) > 1


def test_retry_calls_until_the_service_answers() -> None:
    async def story() -> None:
        service = Service(back_at_s=300)
        answer = await policy().run(service.call)
        assert answer == len(service.called_at_s)
        assert 300 <= now() < 306
        assert 60 < len(service.called_at_s) < 400

    run(story())


def test_retry_calls_once_when_the_first_call_succeeds() -> None:
    async def story() -> None:
        service = Service(back_at_s=0)
        assert await policy().run(service.call) == 1
        assert now() == 0

    run(story())


def test_retry_ends_with_the_deadline() -> None:
    async def story() -> None:
        with pytest.raises(UnavailableError, match="away"):
            await policy(until_s=20).run(Service(back_at_s=1000).call)
        assert 20 <= now() < 26

    run(story())


@pytest.mark.parametrize("after_s", [0, 7])
def test_retry_makes_no_further_attempt_once_stopped(after_s: float) -> None:
    async def story() -> None:
        stop = asyncio.Event()
        service = Service(back_at_s=1000)
        asyncio.get_running_loop().call_later(after_s, stop.set)
        with pytest.raises(UnavailableError):
            await policy(stop).run(service.call)
        assert now() == pytest.approx(after_s, abs=0.06)
        assert max(service.called_at_s) <= after_s + 0.06

    run(story())


def test_retry_makes_the_first_attempt_though_stopped() -> None:
    async def story() -> None:
        stop = asyncio.Event()
        stop.set()
        assert await policy(stop).run(Service(back_at_s=0).call) == 1

    run(story())


def test_retry_raises_other_errors_at_once() -> None:
    calls = 0

    async def refuse() -> None:
        nonlocal calls
        calls += 1
        raise FencedError("a newer attempt")

    async def story() -> None:
        with pytest.raises(FencedError):
            await policy().run(refuse)
        assert calls == 1

    run(story())


def test_retry_warns_of_many_failures_and_not_of_a_few(caplog: pytest.LogCaptureFixture) -> None:
    async def story(failures: int) -> None:
        errors = [UnavailableError("away")] * failures

        async def call() -> None:
            if errors:
                raise errors.pop()

        await policy().run(call)

    run(story(4))
    assert not caplog.records
    run(story(6))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_retry_ends_after_the_last_attempt(attempts: int) -> None:
    async def story() -> None:
        service = Service(back_at_s=1e6)
        with pytest.raises(UnavailableError):
            await RetryPolicy(max_attempts=attempts).run(service.call)
        assert len(service.called_at_s) == attempts
        assert now() == service.called_at_s[-1]

    run(story())


def test_retry_pauses_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)

    async def story() -> list[float]:
        service = Service(back_at_s=1e6)
        policy = RetryPolicy(max_attempts=5, first_pause_s=1, longest_pause_s=3)
        with pytest.raises(UnavailableError):
            await policy.run(service.call)
        return service.called_at_s

    assert run(story()) == [0, 1, 3, 6, 9]


async def test_retry_repeats_no_call_that_is_refused_for_good() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise PermanentRefusalError("AccessDenied")

    with pytest.raises(PermanentRefusalError):
        await RetryPolicy().run(call)
    assert calls == 1


def test_retry_ends_within_its_duration() -> None:
    async def story() -> None:
        with pytest.raises(UnavailableError):
            await RetryPolicy(within_s=60).run(Service(back_at_s=1000).call)
        assert 60 <= now() <= 65.0

    run(story())
