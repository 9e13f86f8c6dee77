"""Which models the operator wants served beside those of the deployment, or no longer served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """What was last said about a model.

    Parameters
    ----------
    name : str
        What requests call it.
    settings : Mapping[str, Any] | None
        How a worker's engine is to serve it, by the names of `axon.settings.EngineSettings`
        (`axon.models.settings`); None: it is to be unloaded, even if the deployment names it.
    version : int
        Grows with every change of any model; who serves another version swaps it.
    """

    name: str
    settings: Mapping[str, Any] | None
    version: int


class DesiredModels(Protocol):
    """Kept in PostgreSQL; a fake in `axon.testing`."""

    async def list(self) -> Sequence[DesiredModel]:
        """Return the last word on every model that anything was said about, by name.

        Raises
        ------
        UnavailableError
            The database is away; what was read last still holds.
        """
        ...

    async def put(self, name: str, settings: Mapping[str, Any] | None) -> DesiredModel:
        """Say something else about a model."""
        ...


class ModelChanges(Protocol):
    """Tells workers that something was said; those that miss it find out when they look again."""

    async def publish(self) -> None:
        """Have all workers look at once.

        Raises
        ------
        UnavailableError
            They were not told.
        """
        ...
