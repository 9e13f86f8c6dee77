"""Makes a worker's models those that are wanted."""

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
from worker.models.metrics import HostingMetrics
from worker.models.plan import Action, Load, Unload, layered, plan

LOGGER = logging.getLogger(__name__)

LOOK_S = 30.0
"""Who misses that something has changed notices so late."""

_LEAST_S = 30.0
_MOST_S = 300.0
_REASON_CHARACTERS = 500


@dataclass(slots=True)
class _Failure:
    """A version that could not be loaded: why, and when it is tried again."""

    version: int
    reason: str = ""
    until: float = 0.0
    pauses: Iterator[float] = field(
        default_factory=lambda: backoff(first_s=_LEAST_S, longest_s=_MOST_S - _LEAST_S)
    )


class Reconciler:
    """Looks what is wanted, does it one thing after the other, and looks again.

    What fails is tried again after half a minute, then more and more seldom, and at once when
    something else was said. While the database is away, what it said last holds.

    Parameters
    ----------
    own : DesiredModel
        The deployment's model, which the host serves already.
    create : Callable[[DesiredModel], Engine]
        Makes the engine of a wanted model; not yet started.
    changed : asyncio.Event
        Set it to have the reconciler look at once.
    """

    def __init__(
        self,
        *,
        host: ModelHost,
        wanted: DesiredModels,
        own: DesiredModel,
        create: Callable[[DesiredModel], Engine],
        changed: asyncio.Event,
        metrics: HostingMetrics,
    ) -> None:
        self._host = host
        self._store = wanted
        self._own = own
        self._create = create
        self._changed = changed
        self._metrics = metrics
        self._wanted: Mapping[str, DesiredModel] | None = None
        self._failures: dict[str, _Failure] = {}
        host.expect(None)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            await self.look()
            while actions := self._plan():
                await self._do(actions[0])
                if self._changed.is_set():
                    await self.look()
            await sleep_unless(self._changed, self._pause_s())

    async def look(self) -> None:
        """Read what is wanted."""
        self._changed.clear()
        try:
            said = await self._store.list()
        except UnavailableError as error:
            LOGGER.warning("cannot see which models are wanted: %s", error)
        except Exception:  # no reason to serve nothing
            LOGGER.exception("cannot see which models are wanted")
        else:
            self._wanted = layered(self._own, said)
        self._note()

    def _plan(self) -> list[Action]:
        if self._wanted is None:
            return []
        return [*plan(self._host.versions(), self._wanted, resting=self._resting())]

    def _resting(self) -> dict[str, int]:
        now = _now()
        return {name: f.version for name, f in self._failures.items() if f.until > now}

    def _pause_s(self) -> float:
        now = _now()
        return min([LOOK_S, *(f.until - now for f in self._failures.values())])

    async def _do(self, action: Action) -> None:
        match action:
            case Unload(name):
                LOGGER.info("unloading %s", name)
                self._host.unload(name)
            case Load(model):
                await self._load(model)
        self._note()
        await self._host.settle()

    async def _load(self, model: DesiredModel) -> None:
        _, in_place = unpacked(model.settings or {})
        if in_place:
            self._host.unload(model.name)
            self._note()  # its adapters have gone with it
            await self._host.settle()
        LOGGER.info("loading %s, version %d", model.name, model.version)
        try:
            if await self._while_wanted(model):
                self._failures.pop(model.name, None)
                self._metrics.loaded()
                LOGGER.info("serving %s, version %d", model.name, model.version)
        except Exception as error:  # whatever a model, its engine or its settings raise
            self._fail(model, error)

    async def _while_wanted(self, model: DesiredModel) -> bool:
        """Load a model; give up, and return False, once it is no longer wanted."""
        loading = asyncio.create_task(self._start(model))
        try:
            while not loading.done():
                looking = asyncio.create_task(sleep_unless(self._changed, LOOK_S))
                await asyncio.wait((loading, looking), return_when=asyncio.FIRST_COMPLETED)
                looking.cancel()
                if loading.done():
                    break
                await self.look()
                if (self._wanted or {}).get(model.name) != model and not loading.done():
                    LOGGER.info("%s, version %d, is not wanted any more", model.name, model.version)
                    return False
            await loading
            return True
        finally:
            loading.cancel()
            await asyncio.wait([loading])

    async def _start(self, model: DesiredModel) -> None:
        settings = model.settings or {}
        if (base := adapter_of(settings)) is None:
            await self._host.load(model.name, model.version, self._create(model))
            return
        uri = engine_settings(model.name, unpacked(settings)[0]).model_uri
        await self._host.adapt(model.name, model.version, base=base, uri=uri or "")

    def _fail(self, model: DesiredModel, error: Exception) -> None:
        failure = self._failures.get(model.name)
        if failure is None or failure.version != model.version:
            failure = self._failures[model.name] = _Failure(model.version)
        pause_s = _LEAST_S + next(failure.pauses)
        failure.until = _now() + pause_s
        failure.reason = f"{error or type(error).__name__}"[:_REASON_CHARACTERS]
        self._metrics.failed()
        LOGGER.warning(
            "cannot load %s, version %d, trying again in %.0f s: %s",
            model.name, model.version, pause_s, failure.reason,
        )  # fmt: skip

    def _note(self) -> None:
        """Tell the host what it is to serve and does not; forget failures of what is not wanted."""
        if self._wanted is None:
            return
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name in self._wanted and self._wanted[name].version == failure.version
        }
        resting, held = self._resting(), self._host.versions()
        self._host.expect(
            [
                ModelStatus(name, ModelState.FAILED, model.version, self._failures[name].reason)
                if name in resting
                else ModelStatus(name, ModelState.LOADING, model.version)
                for name, model in self._wanted.items()
                if held.get(name) != model.version
            ]
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
