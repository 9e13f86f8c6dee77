"""AsyncClosing: `async with` for objects that have an asynchronous `close`."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class AsyncClosing(ABC):
    """Closes itself at the end of an `async with` block, whatever ends it."""

    __slots__ = ()

    @abstractmethod
    async def close(self) -> None:
        """Close everything that it has opened."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
