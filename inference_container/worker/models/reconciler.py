"""Reconciles the models that a worker serves (observed) with those that it should (desired)."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from axon.directory.workers import ModelState, ModelStatus
from axon.exceptions import UnavailableError
from axon.models.desired import DesiredModel, DesiredModels
from axon.models.settings import adapter_of, engine_settings, unpacked
from axon.retry import backoff, sleep_unless
from worker.engines.protocol import Engine
from worker.models.host import ModelHost
from worker.models.metrics import ModelMetrics
from worker.models.plan import Action, Load, Unload, desired_by_name, plan

logger = logging.getLogger(__name__)

READ_INTERVAL_S = 30.0
"""Seconds between reads of the desired state. A worker that missed the notice of a change finds it
after this time."""

_FIRST_PAUSE_S = 30.0
_MAX_PAUSE_S = 300.0
_MAX_REASON_CHARACTERS = 500


@dataclass(slots=True)
class _Failure:
    """A version that could not be loaded: why, and when it is retried (loop's clock, seconds)."""

    version: int
    reason: str = ""
    retry_at: float = 0.0
    pauses: Iterator[float] = field(
        default_factory=lambda: backoff(
            first_s=_FIRST_PAUSE_S, longest_s=_MAX_PAUSE_S - _FIRST_PAUSE_S
        )
    )


class Reconciler:
    """Reads the desired state, carries out one action at a time, and reads again.

    One action at a time, because a load may need the memory that the unload before it freed. A
    version that fails to load is retried after half a minute, then with backoff up to five minutes;
    another version of the model is loaded at once. While the database is away, the last state that
    was read remains desired.

    Parameters
    ----------
    host : ModelHost
        Serves the models; its versions are the observed state.
    desired : DesiredModels
        The desired state as the operator set it.
    deployment : DesiredModel
        The deployment's own model, which the host serves already.
    create : Callable[[DesiredModel], Engine]
        Creates the engine of a desired model, not yet started.
    changed : asyncio.Event
        Set it to read the desired state at once.
    metrics : ModelMetrics
        Counts models loaded and failed loads.
    """

    def __init__(
        self,
        *,
        host: ModelHost,
        desired: DesiredModels,
        deployment: DesiredModel,
        create: Callable[[DesiredModel], Engine],
        changed: asyncio.Event,
        metrics: ModelMetrics,
    ) -> None:
        self._host = host
        self._store = desired
        self._deployment = deployment
        self._create = create
        self._changed = changed
        self._metrics = metrics
        self._desired: Mapping[str, DesiredModel] | None = None
        self._failures: dict[str, _Failure] = {}
        # Not known until the first read: a request for any model waits instead of being refused.
        host.set_pending(None)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            await self.read_desired()
            # The plan is made again after each action: what is desired may have changed during it,
            # and an action can undo others (an unloaded base takes its adapters along).
            while actions := self._plan():
                await self._apply(actions[0])
                if self._changed.is_set():
                    await self.read_desired()
            await sleep_unless(self._changed, self._pause_s())

    async def read_desired(self) -> None:
        """Read the desired state; keep the last one if that fails."""
        # Cleared before the read: a change during it causes another read.
        self._changed.clear()
        try:
            models = await self._store.list()
        except UnavailableError as error:
            logger.warning("cannot read the desired models: %s", error)
        except Exception:  # a bug here must not unload what is served
            logger.exception("cannot read the desired models")
        else:
            self._desired = desired_by_name(self._deployment, models)
        self._publish_pending()

    def _plan(self) -> list[Action]:
        if self._desired is None:
            return []
        return [*plan(self._host.versions(), self._desired, backing_off=self._backing_off())]

    def _backing_off(self) -> dict[str, int]:
        now = _now()
        return {name: f.version for name, f in self._failures.items() if f.retry_at > now}

    def _pause_s(self) -> float:
        now = _now()
        return min([READ_INTERVAL_S, *(f.retry_at - now for f in self._failures.values())])

    async def _apply(self, action: Action) -> None:
        match action:
            case Unload(name):
                logger.info("unloading %s", name)
                self._host.unload(name)
            case Load(model):
                await self._load(model)
        self._publish_pending()
        await self._host.drain_unloaded()

    async def _load(self, model: DesiredModel) -> None:
        _, in_place = unpacked(model.settings or {})
        if in_place:
            # The two versions do not fit into memory together: the old one must be closed first.
            self._host.unload(model.name)
            self._publish_pending()  # the adapters of the old version are no longer served either
            await self._host.drain_unloaded()
        logger.info("loading %s, version %d", model.name, model.version)
        try:
            if await self._load_while_desired(model):
                self._failures.pop(model.name, None)
                self._metrics.loaded()
                logger.info("serving %s, version %d", model.name, model.version)
        except Exception as error:  # engines and settings raise errors of any kind
            self._record_failure(model, error)

    async def _load_while_desired(self, model: DesiredModel) -> bool:
        """Load a model; cancel the load once the model is no longer desired.

        A load takes minutes. Without this, a version that was set by mistake would have to be
        loaded to its end before the right one could be.

        Returns
        -------
        bool
            False if the load was cancelled.
        """
        loading = asyncio.create_task(self._start(model))
        try:
            while not loading.done():
                waiting = asyncio.create_task(sleep_unless(self._changed, READ_INTERVAL_S))
                await asyncio.wait((loading, waiting), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if loading.done():
                    break
                await self.read_desired()
                # The read takes time: a load that is done by now is kept, and the next plan
                # unloads it.
                if (self._desired or {}).get(model.name) != model and not loading.done():
                    logger.info("%s, version %d, is no longer desired", model.name, model.version)
                    return False
            await loading
            return True
        finally:
            loading.cancel()
            # The engine must have released its memory before the next action.
            await asyncio.wait([loading])

    async def _start(self, model: DesiredModel) -> None:
        settings = model.settings or {}
        if (base := adapter_of(settings)) is None:
            await self._host.load(model.name, model.version, self._create(model))
            return
        uri = engine_settings(model.name, unpacked(settings)[0]).model_uri
        await self._host.load_adapter(model.name, model.version, base=base, uri=uri or "")

    def _record_failure(self, model: DesiredModel, error: Exception) -> None:
        failure = self._failures.get(model.name)
        if failure is None or failure.version != model.version:
            failure = self._failures[model.name] = _Failure(model.version)
        pause_s = _FIRST_PAUSE_S + next(failure.pauses)
        failure.retry_at = _now() + pause_s
        failure.reason = f"{error or type(error).__name__}"[:_MAX_REASON_CHARACTERS]
        self._metrics.failed()
        logger.warning(
            "cannot load %s, version %d, trying again in %.0f s: %s",
            model.name, model.version, pause_s, failure.reason,
        )  # fmt: skip

    def _publish_pending(self) -> None:
        """Tell the host which desired models are not served; drop failures of undesired ones."""
        if self._desired is None:
            return
        # A failure counts for its version only: another one is loaded without a pause.
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name in self._desired and self._desired[name].version == failure.version
        }
        backing_off, observed = self._backing_off(), self._host.versions()
        self._host.set_pending(
            [
                ModelStatus(name, ModelState.FAILED, model.version, self._failures[name].reason)
                if name in backing_off
                else ModelStatus(name, ModelState.LOADING, model.version)
                for name, model in self._desired.items()
                if observed.get(name) != model.version
            ]
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
