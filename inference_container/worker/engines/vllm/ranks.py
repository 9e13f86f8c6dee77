"""Assignment of requests to vLLM's data-parallel ranks."""

from collections.abc import Iterator
from contextlib import contextmanager

from axon.rendezvous import most_load, ranked


class Ranks:
    """Keeps a conversation on one rank, whose prefix cache has its beginning, while it has room.

    A rank is an engine core of vLLM with a KV cache of its own. Rendezvous hashing orders the ranks
    for a conversation; the first one whose load is within the bound of consistent hashing with
    bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018; `axon.rendezvous`) runs the request. With
    one rank, or without a conversation, the choice is vLLM's.

    Parameters
    ----------
    count : int
        Number of ranks.
    """

    def __init__(self, count: int) -> None:
        self._loads = dict.fromkeys(map(str, range(count)), 0)

    @contextmanager
    def assigned(self, conversation_id: str) -> Iterator[int | None]:
        """Yield the rank that is to run a request, and count the request there until it ends."""
        if len(self._loads) == 1 or not conversation_id:
            yield None
            return
        bound = most_load(sum(self._loads.values()) + 1, len(self._loads))
        order = ranked(conversation_id, self._loads)
        # One is within the bound: it is above the mean load that includes the new request.
        rank = next(rank for rank in order if self._loads[rank] < bound)
        self._loads[rank] += 1
        try:
            yield int(rank)
        finally:
            self._loads[rank] -= 1
