"""The directory of models, in memory, and what tells workers of changes."""

import time
from collections.abc import Callable

from axon.directory.models import ModelDirectory
from axon.models.desired import ModelChanges


class FakeModelDirectory(ModelDirectory):
    """See `axon.directory.models.ModelDirectory`; with a settable clock."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._models: dict[str, float] = {}
        self._heard_of: dict[str, float] = {}

    @property
    def empty(self) -> bool:
        """Whether no model was ever entered."""
        return not self._models

    def silence(self, model_id: str) -> float:
        """Return for how long no worker has announced a model."""
        return self._clock() - self._heard_of.get(model_id, float("-inf"))

    async def announce(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        await self.expect(model_ids, retention_s=retention_s)
        for model_id in model_ids:
            self._heard_of[model_id] = self._clock()

    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        for model_id in model_ids:
            until = self._clock() + retention_s
            self._models[model_id] = max(until, self._models.get(model_id, 0))

    async def forget(self, model_ids: tuple[str, ...]) -> None:
        for model_id in model_ids:
            self._models.pop(model_id, None)
            self._heard_of.pop(model_id, None)

    async def list(self) -> list[str]:
        now = self._clock()
        return sorted(model_id for model_id, until in self._models.items() if until >= now)


class FakeModelChanges(ModelChanges):
    """Counts how often workers were told."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self.published = 0

    async def publish(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.published += 1
