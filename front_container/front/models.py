"""The models that requests may name, as the front lists them."""

from axon.aliases import ModelAliases
from axon.directory.models import ModelDirectory, unknown_model


class ServedModels:
    """Lists models: those that workers have registered, the deployment's own, and aliases.

    They are the names that `axon.event_log.log.EventLog.open` accepts.

    Parameters
    ----------
    directory : ModelDirectory
        The models that workers serve, or can start to serve.
    deployment : tuple[str, ...]
        The models of the deployment, which exist while no worker has registered them.
    aliases : ModelAliases
        What requests may name instead of a model.
    """

    def __init__(
        self, *, directory: ModelDirectory, deployment: tuple[str, ...], aliases: ModelAliases
    ) -> None:
        self._directory = directory
        self._own = frozenset(deployment) | aliases.keys()

    async def names(self) -> list[str]:
        """Return all names, sorted.

        Raises
        ------
        UnavailableError
            Valkey is away.
        """
        return sorted(self._own.union(await self._directory.list()))

    async def require(self, name: str) -> None:
        """Return if there is a model of this name.

        Raises
        ------
        RequestError
            There is none.
        UnavailableError
            Valkey is away.
        """
        if name not in await self.names():
            raise unknown_model(name)
