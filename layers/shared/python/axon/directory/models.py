"""The directory of models: those that workers serve, and those that a worker can start to serve."""

from typing import Protocol

from axon.exceptions import RequestError

SILENCE_S = 15.0
"""Seconds after which a model that no worker has registered again counts as unattended.

Workers register theirs every few seconds, so several registrations were missed by then.
"""


class ModelDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def register(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        """Register models that a worker serves, or renew their registrations.

        They stay known for `retention_s` seconds: long enough that a model is still known while the
        workers are scaled to zero.
        """
        ...

    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        """Make models known that no worker serves yet: a request for one starts a worker."""
        ...

    async def remove(self, model_ids: tuple[str, ...]) -> None:
        """Remove models: requests for them are refused until a worker registers them again."""
        ...

    async def list(self) -> list[str]:
        """Return the known model ids, sorted."""
        ...


def unknown_model(model: str) -> RequestError:
    """Return the refusal of a request for a model that does not exist."""
    return RequestError(
        f"The model '{model}' does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
        status=404,
    )
