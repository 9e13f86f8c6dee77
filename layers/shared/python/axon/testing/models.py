"""The directory of models and the notifications of changed models, in memory."""

import time
from collections.abc import Callable

from typing_extensions import override

from axon.directory.models import SILENCE_S, ModelDirectory
from axon.models.desired import ModelChanges


class FakeModelDirectory(ModelDirectory):
    """See `axon.directory.models.ModelDirectory`; with a settable clock."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._models: dict[str, float] = {}
        self._last_seen: dict[str, float] = {}
        self._served_since: dict[str, float] = {}

    @property
    def empty(self) -> bool:
        """True until a model is registered or expected."""
        return not self._models

    def silence(self, model_id: str) -> float:
        """Return the seconds since a worker last registered a model."""
        return self._clock() - self._last_seen.get(model_id, float("-inf"))

    def served_since(self, model_id: str) -> float | None:
        """Return since when workers serve a model; None if none does."""
        return None if self.silence(model_id) > SILENCE_S else self._served_since[model_id]

    @override
    async def register(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        await self.expect(model_ids, retention_s=retention_s)
        for model_id in model_ids:
            if self.silence(model_id) > SILENCE_S:
                self._served_since[model_id] = self._clock()
            self._last_seen[model_id] = self._clock()

    @override
    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        for model_id in model_ids:
            until = self._clock() + retention_s
            self._models[model_id] = max(until, self._models.get(model_id, 0))

    @override
    async def remove(self, model_ids: tuple[str, ...]) -> None:
        for model_id in model_ids:
            self._models.pop(model_id, None)
            self._last_seen.pop(model_id, None)

    @override
    async def list(self) -> list[str]:
        now = self._clock()
        return sorted(model_id for model_id, until in self._models.items() if until >= now)


class FakeModelChanges(ModelChanges):
    """Counts the notifications; see `axon.models.desired.ModelChanges`."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self.published = 0

    @override
    async def publish(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.published += 1
