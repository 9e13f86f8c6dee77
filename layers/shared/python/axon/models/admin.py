"""ModelAdmin: lists models with their desired and observed state, and changes the desired state."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axon.directory.models import ModelDirectory
from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState
from axon.exceptions import RequestError, UnavailableError
from axon.models.desired import DesiredModel, DesiredModels, ModelChanges
from axon.models.settings import engine_settings, packed
from axon.upstream_hosts import UpstreamHosts


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOverview:
    """A model: its desired state, and its state in every worker.

    Parameters
    ----------
    name : str
        What requests name.
    desired : Mapping[str, Any] | None
        The operator's settings, as `axon.models.settings.packed` returns them. None: the model is
        the deployment's (version 0), or it is unloaded.
    version : int
        Version of the desired state; 0 if it is the deployment's.
    states : Mapping[str, ModelStatus]
        Its state in each worker that has it, by worker id; of two versions in one the later.
    serving, workers : int, int
        Number of workers that answer requests for it, with any version, and of all workers.
    served_as : Sequence[str]
        The names that requests use, where they are others: of the models behind one upstream.
    """

    name: str
    desired: Mapping[str, Any] | None
    version: int
    states: Mapping[str, ModelStatus]
    serving: int
    workers: int
    served_as: Sequence[str] = ()

    @property
    def unloaded(self) -> bool:
        """True if the operator has unloaded the model, even if workers still serve it."""
        return self.version > 0 and self.desired is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of a model's desired state.

    Parameters
    ----------
    model : ModelOverview
        The model after the change.
    workers : Sequence[str]
        Ids of the workers that will make the change.
    notified : bool
        False: the notification failed, and workers find the change at their next regular check.
    """

    model: ModelOverview
    workers: Sequence[str]
    notified: bool


class ModelAdmin:
    """Lists, loads, swaps and unloads models.

    Parameters
    ----------
    desired : DesiredModels
        Where the desired state is stored.
    changes : ModelChanges
        Notifies workers of a change.
    workers : WorkerDirectory
        Tells which workers run and what they serve.
    directory : ModelDirectory
        Tells clients' requests which models exist.
    retention_s : float
        Seconds for which a model stays known that is loaded while no worker runs.
    deployment : Collection[str]
        Names of the deployment's own models, which exist while no worker has registered them.
    hosts : UpstreamHosts | None
        Hosts that upstreams may have; None for none.
    """

    def __init__(
        self,
        *,
        desired: DesiredModels,
        changes: ModelChanges,
        workers: WorkerDirectory,
        directory: ModelDirectory,
        retention_s: float,
        deployment: Collection[str] = (),
        hosts: UpstreamHosts | None = None,
    ) -> None:
        self._desired = desired
        self._changes = changes
        self._workers = workers
        self._directory = directory
        self._retention_s = retention_s
        self._deployment = frozenset(deployment)
        self._hosts = hosts or UpstreamHosts()

    async def list(self) -> tuple[Sequence[ModelOverview], Sequence[str]]:
        """Return all models by name, and the ids of the live workers."""
        desired = {model.name: model for model in await self._desired.list()}
        workers = await self._workers.list()
        held = {model.name for worker in workers for model in worker.models}
        known = await self._directory.list()
        names = sorted(desired.keys() | held | self._deployment.union(known))
        models = [_overview(desired.get(n) or DesiredModel(n, None, 0), workers) for n in names]
        return models, [worker.worker_id for worker in workers]

    async def load(self, name: str, settings: Mapping[str, Any], *, in_place: bool) -> Change:
        """Start serving a model.

        Raises
        ------
        RequestError
            It is served or loaded already.
        SettingsError
            Its settings are invalid.
        """
        engine_settings(name, settings, hosts=self._hosts)
        if await self._exists(name):
            raise RequestError(
                f"{name} is served or wanted already; swap it for one with other settings",
                code="model_exists",
                status=409,
            )
        return await self._change(name, packed(settings, in_place=in_place))

    async def swap(self, name: str, settings: Mapping[str, Any], *, in_place: bool) -> Change:
        """Serve a model with other settings.

        Raises
        ------
        RequestError
            It is neither loaded nor served.
        SettingsError
            Its settings are invalid.
        """
        engine_settings(name, settings, hosts=self._hosts)
        await self._require(name, "load it")
        return await self._change(name, packed(settings, in_place=in_place))

    async def unload(self, name: str) -> Change:
        """Stop serving a model.

        Raises
        ------
        RequestError
            It is neither loaded nor served.
        """
        await self._require(name, "there is nothing to unload")
        return await self._change(name, None)

    async def _exists(self, name: str) -> bool:
        models, _ = await self.list()
        return any(model.name == name and not model.unloaded for model in models)

    async def _require(self, name: str, remedy: str) -> None:
        if not await self._exists(name):
            raise RequestError(
                f"nobody wants or serves {name}; {remedy}", code="model_not_found", status=404
            )

    async def _change(self, name: str, settings: Mapping[str, Any] | None) -> Change:
        workers = await self._workers.list()
        changed = await self._desired.put(name, settings)
        notified = await self._notify(changed, no_workers=not workers)
        ids = [worker.worker_id for worker in workers]
        return Change(model=_overview(changed, workers), workers=ids, notified=notified)

    async def _notify(self, changed: DesiredModel, *, no_workers: bool) -> bool:
        """Notify the workers of a change; return whether that succeeded."""
        try:
            # No worker registers the model before it serves it. Where none runs, the model must be
            # known all the same, or requests, which would start a worker, are refused.
            if changed.settings is None:
                await self._directory.remove((changed.name,))
            elif no_workers:
                await self._directory.expect((changed.name,), retention_s=self._retention_s)
            await self._changes.publish()
        except UnavailableError:
            return False
        return True


def _overview(model: DesiredModel, workers: Sequence[WorkerState]) -> ModelOverview:
    held = {worker.worker_id: _latest(model.name, worker) for worker in workers}
    return ModelOverview(
        name=model.name,
        desired=model.settings,
        version=model.version,
        states={worker_id: has for worker_id, has in held.items() if has is not None},
        serving=sum(any(_served(model.name, worker)) for worker in workers),
        workers=len(workers),
        served_as=sorted(
            {name for worker in workers for name in _served(model.name, worker)} - {model.name}
        ),
    )


def _served(name: str, worker: WorkerState) -> Iterator[str]:
    """Yield the names under which a worker answers requests for what was declared as `name`."""
    for model in worker.models:
        if name in (model.name, model.declared) and model.state is ModelState.SERVING:
            yield model.name


def _latest(name: str, worker: WorkerState) -> ModelStatus | None:
    return max(
        (model for model in worker.models if name in (model.name, model.declared)),
        key=lambda model: (model.version, model.state is ModelState.SERVING),
        default=None,
    )
