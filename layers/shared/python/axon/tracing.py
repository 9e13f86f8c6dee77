"""Traces: the way of one request through several processes, as spans."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from typing_extensions import override

Value = str | int | float | bool


class Tracing(Protocol):
    """Makes spans; the current one is the innermost that was entered and not left in this task."""

    def receive(
        self, name: str, *, header: str | None, **attributes: Value
    ) -> AbstractContextManager[object]:
        """Return the span of work that was sent here; `header` is AWS's trace header with it."""
        ...

    def span(self, name: str) -> AbstractContextManager[object]:
        """Return a part of the current span."""
        ...

    def annotate(self, **attributes: Value) -> None:
        """Add to the current span."""
        ...

    def header(self) -> str | None:
        """Return the header with which others continue the current span, if that is traced."""
        ...

    async def close(self) -> None:
        """Send what waits to be sent, for a few seconds at most."""
        ...


class NoTracing(Tracing):
    """Tracing that is switched off."""

    @override
    def receive(
        self,
        name: str,
        *,
        header: str | None,
        **attributes: Value,
    ) -> AbstractContextManager[object]:
        return _NOTHING

    @override
    def span(self, name: str) -> AbstractContextManager[object]:
        return _NOTHING

    @override
    def annotate(self, **attributes: Value) -> None:
        return

    @override
    def header(self) -> str | None:
        return None

    @override
    async def close(self) -> None:
        return


_NOTHING = nullcontext()
