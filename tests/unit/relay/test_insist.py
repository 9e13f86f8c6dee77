import asyncio

import pytest

from axon.exceptions import UnavailableError
from axon.management_api import ConnectionGoneError, PostThrottledError, PostUncertainError
from relay.insist import insist


class Call:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_repeats_harmless_errors() -> None:
    call = Call(PostThrottledError("429"), UnavailableError("away"))
    assert await insist(call) == "answer"
    assert call.calls == 3


@pytest.mark.parametrize("error", [ConnectionGoneError("410"), PostUncertainError("?")])
async def test_repeats_nothing_else(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        await insist(call)
    assert call.calls == 1


async def test_the_caller_knows_what_is_harmless() -> None:
    call = Call(PostUncertainError("?"))
    assert await insist(call, harmless=(PostUncertainError,)) == "answer"


async def test_it_repeats_nothing_once_it_is_told_to_end() -> None:
    until = asyncio.Event()
    call = Call(*[PostThrottledError("429")] * 1000)
    insisting = asyncio.create_task(insist(call, until=until))
    while call.calls < 4:
        await asyncio.sleep(0.001)
    until.set()
    calls = call.calls
    async with asyncio.timeout(1):
        with pytest.raises(PostThrottledError):
            await insisting
    assert call.calls == calls


async def test_the_first_attempt_is_always_made() -> None:
    until = asyncio.Event()
    until.set()
    assert await insist(Call(), until=until) == "answer"


async def test_one_failure_is_nothing_but_many_are_told(caplog: pytest.LogCaptureFixture) -> None:
    await insist(Call(*[PostThrottledError("429")] * 4))
    assert not caplog.records
    await insist(Call(*[PostThrottledError("429")] * 6))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
