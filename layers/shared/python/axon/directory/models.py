"""The directory of models: what workers announce is what exists."""

from typing import Protocol

from axon.exceptions import RequestError

SILENCE_S = 15.0
"""Workers announce themselves every few seconds: after so long without, none is there."""


class ModelDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def announce(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        """Enter models; they stay known for `retention_s` after the last announcement.

        A long retention keeps a model known while no worker runs (scaled to zero).
        """
        ...

    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        """Enter models that no worker has announced: a request for one wakes a worker."""
        ...

    async def forget(self, model_ids: tuple[str, ...]) -> None:
        """Take models out, unless a worker announces them again: requests for them are refused."""
        ...

    async def list(self) -> list[str]:
        """Return the known model ids, sorted."""
        ...


def unknown_model(model: str) -> RequestError:
    """Return the refusal of a model that nobody serves."""
    return RequestError(
        f"The model '{model}' does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
        status=404,
    )
