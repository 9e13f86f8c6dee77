"""Which models there are, wanted and served, and the operator's say in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axon.directory.models import ModelDirectory
from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState
from axon.exceptions import RequestError, UnavailableError
from axon.models.desired import DesiredModel, DesiredModels, ModelChanges
from axon.models.settings import engine_settings, packed


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOverview:
    """A model: what is wanted of it, and how far the workers are.

    Parameters
    ----------
    wanted : Mapping[str, Any] | None
        The settings that the operator gave, `axon.models.settings.packed`; None: those of the
        deployment (version 0), or it is unloaded.
    states : Mapping[str, ModelStatus]
        How far workers are with it, by their ids; of two versions in one the later.
    serving, workers : int
        How many answer requests for it, with whichever version, of how many.
    """

    name: str
    wanted: Mapping[str, Any] | None
    version: int
    states: Mapping[str, ModelStatus]
    serving: int
    workers: int

    @property
    def unloaded(self) -> bool:
        """Whether the last word was that nobody should serve it."""
        return self.version > 0 and self.wanted is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What was said about a model; not `told`: workers find out when they look again."""

    model: ModelOverview
    workers: Sequence[str]
    told: bool


class ModelControl:
    """Lists, loads, swaps and unloads models.

    Parameters
    ----------
    retention_s : float
        How long a model is known that is loaded while no worker runs.
    """

    def __init__(
        self,
        *,
        wanted: DesiredModels,
        changes: ModelChanges,
        workers: WorkerDirectory,
        directory: ModelDirectory,
        retention_s: float,
    ) -> None:
        self._wanted = wanted
        self._changes = changes
        self._workers = workers
        self._directory = directory
        self._retention_s = retention_s

    async def list(self) -> tuple[Sequence[ModelOverview], Sequence[str]]:
        """Return all models by name, and the ids of the workers that live."""
        wanted = {model.name: model for model in await self._wanted.list()}
        workers = await self._workers.list()
        held = {model.name for worker in workers for model in worker.models}
        known = await self._directory.list()
        names = sorted(wanted.keys() | held | set(known))
        models = [_overview(wanted.get(n) or DesiredModel(n, None, 0), workers) for n in names]
        return models, [worker.worker_id for worker in workers]

    async def load(self, name: str, settings: Mapping[str, Any], *, in_place: bool) -> Change:
        """Have a model served that is not yet.

        Raises
        ------
        RequestError
            It is served or wanted already.
        SettingsError
            Its settings cannot work.
        """
        engine_settings(name, settings)
        if await self._is_there(name):
            raise RequestError(
                f"{name} is served or wanted already; swap it for one with other settings",
                code="model_exists",
                status=409,
            )
        return await self._say(name, packed(settings, in_place=in_place))

    async def swap(self, name: str, settings: Mapping[str, Any], *, in_place: bool) -> Change:
        """Have a model served with other settings.

        Raises
        ------
        RequestError
            Nobody wants or serves it.
        SettingsError
            Its settings cannot work.
        """
        engine_settings(name, settings)
        await self._must_be_there(name, "load it")
        return await self._say(name, packed(settings, in_place=in_place))

    async def unload(self, name: str) -> Change:
        """Have a model no longer served.

        Raises
        ------
        RequestError
            Nobody wants or serves it.
        """
        await self._must_be_there(name, "there is nothing to unload")
        return await self._say(name, None)

    async def _is_there(self, name: str) -> bool:
        models, _ = await self.list()
        return any(model.name == name and not model.unloaded for model in models)

    async def _must_be_there(self, name: str, remedy: str) -> None:
        if not await self._is_there(name):
            raise RequestError(
                f"nobody wants or serves {name}; {remedy}", code="model_not_found", status=404
            )

    async def _say(self, name: str, settings: Mapping[str, Any] | None) -> Change:
        workers = await self._workers.list()
        said = await self._wanted.put(name, settings)
        told = await self._tell(said, alone=not workers)
        ids = [worker.worker_id for worker in workers]
        return Change(model=_overview(said, workers), workers=ids, told=told)

    async def _tell(self, said: DesiredModel, *, alone: bool) -> bool:
        """Tell workers; a model that is to wake one must be known, an unloaded one must not."""
        try:
            if said.settings is None:
                await self._directory.forget((said.name,))
            elif alone:
                await self._directory.expect((said.name,), retention_s=self._retention_s)
            await self._changes.publish()
        except UnavailableError:
            return False
        return True


def _overview(model: DesiredModel, workers: Sequence[WorkerState]) -> ModelOverview:
    held = {worker.worker_id: _latest(model.name, worker) for worker in workers}
    return ModelOverview(
        name=model.name,
        wanted=model.settings,
        version=model.version,
        states={worker_id: has for worker_id, has in held.items() if has is not None},
        serving=sum(worker.serves(model.name) for worker in workers),
        workers=len(workers),
    )


def _latest(name: str, worker: WorkerState) -> ModelStatus | None:
    return max(
        (model for model in worker.models if model.name == name),
        key=lambda model: (model.version, model.state is ModelState.SERVING),
        default=None,
    )
