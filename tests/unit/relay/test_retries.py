import pytest

from axon.exceptions import MissingResponseError, UnavailableError
from axon.management_api import ConnectionGoneError, PostThrottledError, PostUncertainError
from axon.retry import RetryPolicy
from relay.retries import UNTIL_CLOSED, UNTIL_DONE, UNTIL_FOUND


class Call:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.mark.parametrize(
    ("policy", "errors"),
    [
        (UNTIL_DONE, (PostThrottledError, UnavailableError)),
        (UNTIL_FOUND, (PostThrottledError, UnavailableError, MissingResponseError)),
        (UNTIL_CLOSED, (PostThrottledError, PostUncertainError)),
    ],
)
async def test_retry_policy_repeats_harmless_errors(
    policy: RetryPolicy, errors: tuple[type[Exception], ...]
) -> None:
    call = Call(*[error("again") for error in errors])
    assert await policy.run(call) == "answer"
    assert call.calls == len(errors) + 1


@pytest.mark.parametrize("error", [ConnectionGoneError("410"), PostUncertainError("?")])
async def test_retry_policy_never_repeats_a_post_that_may_have_arrived(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        await UNTIL_DONE.run(call)
    assert call.calls == 1
