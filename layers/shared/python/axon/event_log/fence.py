"""Fences of responses: who may append, read without the rest of a response's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from axon.event_log.log import Claim, Status


@dataclass(frozen=True, slots=True)
class Fence:
    """The state of a response that decides whether an append is accepted.

    Parameters
    ----------
    status : Status
        Nothing is appended to a response that has ended.
    epoch : int
        The latest claim; appends with a lower epoch are refused.
    nonce : str
        That claim's nonce; empty if a worker of an earlier version made or restored it.
    """

    status: Status
    epoch: int
    nonce: str = ""

    def refuses(self, claim: Claim) -> bool:
        """Return whether an append under this claim would be refused, because another came later.

        The claim before is no fence: Valkey has lost the later one, and the next append repairs
        that. After such a loss two claims can have the same epoch, so that the nonce decides.
        """
        if claim.nonce and self.nonce:
            return self.nonce not in (claim.nonce, claim.predecessor)
        return self.epoch > claim.epoch


class Fences(Protocol):
    """The fences of all responses: `ValkeyFences`, and `FakeFences` for tests."""

    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        """Return the fence of each response, in order; None for one that is not in the log.

        Raises
        ------
        UnavailableError
            Valkey is away.
        """
        ...
