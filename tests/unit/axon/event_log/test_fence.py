"""The fence of a claim: by nonce where both sides have one, else by epoch."""

import pytest

from axon.event_log.fence import Fence
from axon.event_log.log import Claim, Status

CLAIM = Claim(epoch=5, next_sequence=2, nonce="own", predecessor="before")


@pytest.mark.parametrize(
    ("epoch", "nonce", "refused"),
    [
        (5, "own", False),
        (4, "before", False),  # the claim is lost, and the next append repairs that
        (5, "other", True),  # made after the loss, under the same epoch
        (4, "other", True),
        (6, "other", True),
        (5, "", False),  # of an earlier version
        (4, "", False),
        (6, "", True),
    ],
)
def test_fence_refuses_the_claims_before_the_latest(epoch: int, nonce: str, refused: bool) -> None:
    assert Fence(Status.IN_PROGRESS, epoch, nonce).refuses(CLAIM) is refused
