"""The desired state of models: which the operator has loaded, swapped or unloaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """The desired state of a model, as the operator last set it.

    Parameters
    ----------
    name : str
        The name by which requests ask for it.
    settings : Mapping[str, Any] | None
        Settings of the engine that serves it, by the names of `axon.engine_settings.EngineSettings`
        (`axon.models.settings`); None: it is unloaded, even if the deployment names it.
    version : int
        Grows with every change of any model; a worker that serves another version swaps it.
    """

    name: str
    settings: Mapping[str, Any] | None
    version: int


class DesiredModels(Protocol):
    """Kept in PostgreSQL; a fake in `axon.testing`."""

    async def list(self) -> Sequence[DesiredModel]:
        """Return the desired state of every model that the operator has ever set, by name.

        Raises
        ------
        UnavailableError
            The database is away; what was read before still holds.
        """
        ...

    async def put(self, name: str, settings: Mapping[str, Any] | None) -> DesiredModel:
        """Set a model's desired settings; None unloads it.

        Returns
        -------
        DesiredModel
            The new state, with a version above all others.

        Raises
        ------
        UnavailableError
            The database is away; the change may have been made.
        """
        ...


class ModelChanges(Protocol):
    """Notifies workers of changes; a worker that misses one finds it at its next regular check."""

    async def publish(self) -> None:
        """Notify all workers, which then read the desired models at once.

        Raises
        ------
        UnavailableError
            No worker was notified.
        """
        ...
