"""Traces that a test can look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from axon.tracing import Tracing, Value


@dataclass
class Recorded:
    """A span: `path` are the names of what it is in, and its own."""

    path: tuple[str, ...]
    header: str | None
    attributes: dict[str, Value] = field(default_factory=dict)
    error: type[BaseException] | None = None
    ended: bool = False


class RecordedTracing(Tracing):
    """`spans`, in the order in which they began."""

    def __init__(self) -> None:
        self.spans: list[Recorded] = []
        self.closed = False
        self._current: ContextVar[Recorded | None] = ContextVar("current", default=None)

    def one(self, *path: str) -> Recorded:
        (span,) = (span for span in self.spans if span.path == path)
        return span

    @contextmanager
    def receive(self, name: str, *, header: str | None, **attributes: Value) -> Iterator[None]:
        with self._enter(Recorded((name,), header, attributes)):
            yield

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        outer = self._current.get()
        with self._enter(Recorded((*(outer.path if outer else ()), name), None)):
            yield

    def annotate(self, **attributes: Value) -> None:
        if span := self._current.get():
            span.attributes |= attributes

    def header(self) -> str | None:
        span = self._current.get()
        return f"header of {span.path[-1]}" if span else None

    async def close(self) -> None:
        self.closed = True

    @contextmanager
    def _enter(self, span: Recorded) -> Iterator[None]:
        self.spans.append(span)
        outer = self._current.set(span)
        try:
            yield
        except BaseException as error:
            span.error = type(error)
            raise
        finally:
            self._current.reset(outer)
            span.ended = True
