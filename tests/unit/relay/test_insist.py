from itertools import islice

import pytest

from axon.connections import ConnectionGoneError, PostThrottledError, PostUncertainError
from axon.exceptions import UnavailableError
from relay.insist import backoff, insist


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


def test_pauses_are_random_below_a_bound_that_doubles() -> None:
    runs = [list(islice(backoff(first_s=1, most_s=8), 6)) for _ in range(200)]
    for place, bound in enumerate([1, 2, 4, 8, 8, 8]):
        pauses = [run[place] for run in runs]
        assert 0 <= min(pauses) < bound * 0.2
        assert bound * 0.8 < max(pauses) <= bound


async def test_one_failure_is_nothing_but_many_are_told(caplog: pytest.LogCaptureFixture) -> None:
    await insist(Call(*[PostThrottledError("429")] * 4))
    assert not caplog.records
    await insist(Call(*[PostThrottledError("429")] * 6))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
