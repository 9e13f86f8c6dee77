"""The protocol of engines that take LoRA adapters."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class AdaptableEngine(Protocol):
    """An engine that takes LoRA adapters while it serves."""

    async def load_adapter(self, name: str, uri: str) -> None:
        """Serve an adapter under this name, instead of another one if there is one.

        Raises
        ------
        EngineError
            The adapter cannot be loaded.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Unload an adapter; its running generations are completed."""
        ...
