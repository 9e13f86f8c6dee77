"""Fences of responses: who may append, read without the rest of a response's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from axon.event_log.log import Status


@dataclass(frozen=True, slots=True)
class Fence:
    """The state of a response that decides whether an append is accepted.

    Parameters
    ----------
    status : Status
        Nothing is appended to a response that has ended.
    epoch : int
        The latest claim; appends with a lower epoch are refused.
    """

    status: Status
    epoch: int


class Fences(Protocol):
    """The fences of all responses: `ValkeyFences`, and `FakeValkey` for tests."""

    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        """Return the fence of each response, in order; None for one that is not in the log.

        Raises
        ------
        UnavailableError
            Valkey is away.
        """
        ...
