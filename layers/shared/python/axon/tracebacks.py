"""Exceptions in logs: where they were raised and of which type, without text of clients."""

import logging
import traceback
from collections.abc import Iterator
from types import TracebackType

from typing_extensions import override

from axon.exceptions import AxonError

_OWN_WORDS = (AxonError, OSError, ImportError, MemoryError)
"""Exceptions whose message is Axon's or the system's. Others may quote what a client has sent:
``int`` its argument, a ``KeyError`` the key, PostgreSQL the row that it refuses."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def describe(error: BaseException) -> str:
    """Return an exception's type, and its message if that cannot quote a client."""
    name = type(error).__qualname__
    return f"{name}: {error}" if isinstance(error, _OWN_WORDS) else name


def format_traceback(error: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it, each as `describe`."""
    return "\n".join(_lines(error, seen=set()))


def _lines(error: BaseException, *, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen=seen)
        yield "then:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    yield describe(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield "of the group:"
            yield from _lines(inner, seen=seen)


class QuietTracebacks(logging.Formatter):
    """Makes a formatter write tracebacks without text of clients."""

    @override
    def formatException(self, ei: ExcInfo) -> str:
        return format_traceback(ei[1]) if ei[1] is not None else ""
