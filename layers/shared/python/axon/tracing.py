"""Traces: what became of one request, across processes, told in spans."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

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
    """Tells nobody anything."""

    def receive(
        self,
        name: str,  # noqa: ARG002
        *,
        header: str | None,  # noqa: ARG002
        **attributes: Value,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        return _NOTHING

    def span(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002
        return _NOTHING

    def annotate(self, **attributes: Value) -> None:  # noqa: ARG002
        return

    def header(self) -> str | None:
        return None

    async def close(self) -> None:
        return


_NOTHING = nullcontext()
