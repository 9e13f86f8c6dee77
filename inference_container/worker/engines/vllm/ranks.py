"""Which of vLLM's data-parallel ranks runs a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from axon.rendezvous import most_load, ranked


class Ranks:
    """Keeps a conversation on one rank, whose cache has its beginning, as long as that has room.

    Ranks are vLLM's engines, each with a cache of its own; the load of each is counted here. With
    one rank, or without a conversation, the choice is vLLM's.
    """

    def __init__(self, count: int) -> None:
        self._loads = dict.fromkeys(map(str, range(count)), 0)

    @contextmanager
    def taken(self, conversation_id: str) -> Iterator[int | None]:
        """Hold a place on the rank that is to run a request."""
        if len(self._loads) == 1 or not conversation_id:
            yield None
            return
        most = most_load(sum(self._loads.values()) + 1, len(self._loads))
        order = ranked(conversation_id, self._loads)
        rank = next(rank for rank in order if self._loads[rank] < most)
        self._loads[rank] += 1
        try:
            yield int(rank)
        finally:
            self._loads[rank] -= 1
