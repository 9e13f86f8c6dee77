"""Beats of workers: who is alive, and which messages a dead worker held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

BEAT_S = 0.5
"""Seconds between two beats of a worker."""
SILENT_S = 1.0
"""Seconds without a beat after which peers look at a worker: it has left out a beat, or is dead."""
MOST_SILENT = 100
"""Silent workers that one read returns; the others follow when these were taken over."""


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that a worker has received: any process can release it by its receipt handle."""

    receipt_handle: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldChange:
    """A change of the list of messages that a worker holds.

    Parameters
    ----------
    before : int | None
        Version of the list that this change applies to; None to replace the whole list.
    after : int
        Version of the list after it. The same number stands for the same list.
    added : Sequence[HeldMessage]
        Messages that the worker has received since.
    removed : Sequence[str]
        Receipt handles of messages that it no longer holds.
    """

    before: int | None
    after: int
    added: Sequence[HeldMessage] = ()
    removed: Sequence[str] = ()


class WorkerBeats(Protocol):
    """Kept in Valkey; a fake in `axon.testing`.

    A worker changes its value again and again, and its peers watch by their own clocks that it
    changes. The directory's clock only chooses whom they look at. So nobody's clock is compared
    with another one's, and while Valkey is away nobody sees that a value stands still.

    A process is named by its incarnation, which no other process ever has, not even one that is
    started again under the same worker id.
    """

    async def beat(self, incarnation: str, change: HeldChange, *, count: int) -> bool:
        """Change the worker's value, and its list of held messages.

        Parameters
        ----------
        incarnation : str
            The process that beats.
        change : HeldChange
            What has changed in its list since the last call.
        count : int
            The new value: how many beats the process has made.

        Returns
        -------
        bool
            False if the stored list is not the one of the version `before`: Valkey has lost it.
            Then the list stays as it is, and the caller replaces it.
        """
        ...

    async def values(
        self, own: str = "", *, silent_s: float = 0.0, limit: int = MOST_SILENT
    ) -> Mapping[str, str]:
        """Return values by incarnation: the caller's own one, and those of silent workers.

        So the answer does not grow with the number of workers. Which ones are silent is decided by
        the directory's clock alone. That clock may be set, and a replica that is promoted may lack
        the newest beats: a worker that is returned need not be dead.

        Parameters
        ----------
        own : str
            Incarnation of the caller.
        silent_s : float
            Seconds for which the workers have not beaten.
        limit : int
            Most other workers to return, those first that have not beaten for the longest time.
        """
        ...

    async def take(
        self,
        dead: str,
        *,
        seen: str,
        successor: str,
        released: Sequence[HeldMessage] = (),
        limit: int = 100,
    ) -> Sequence[HeldMessage]:
        """Take over the messages of a dead worker; in one atomic step, so that one peer has them.

        Parameters
        ----------
        dead : str
            Incarnation of the worker.
        seen : str
            Its value, as the caller saw it stand still. If it has changed meanwhile, the worker is
            alive, or another peer was faster: nothing is taken.
        successor : str
            The value from now on, never used before: the caller's peers watch it in turn, and take
            over if the caller dies, too.
        released : Sequence[HeldMessage]
            Messages of the last call that the caller has released meanwhile.
        limit : int
            Most messages to return.

        Returns
        -------
        Sequence[HeldMessage]
            The next messages to release. Empty once none is left: then the worker is forgotten.
        """
        ...

    async def leave(self, incarnation: str) -> None:
        """Forget a worker that holds nothing any more."""
        ...
