"""The process that compiles formats before an engine gets them: one JSON object a line.

In: ``{"format": {...}}``, a ``text.format``. Out: ``{"ready": true}`` once, then for each format
``{"refused": null}`` if it compiles, else the reason. An answer with ``"ends": true`` is the last
one: the process has no memory left, which may be the fault of formats before. It is
expendable: a compiler is native code that reads what a client wrote, and whatever it does to its
process, it does to this one.
"""

import math
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from axon.serialization import dumps, loads

_REASON_CHARACTERS = 400
_MEASURED_TOKENS = 49_000
"""The vocabulary with which the times of compilers were measured; they grow in proportion to it."""
_NICENESS = 10
"""Compiling gives way to the engine, which has answers to generate."""

Compile = Callable[[Mapping[str, Any]], None]
"""Compiles a `text.format`; any exception refuses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarLimits:
    """Limits of one format, as arguments of the child's command line.

    The defaults are generous for schemas that people write, with a vocabulary of 49,000 tokens:
    xgrammar 0.2.8 needs 3 s of CPU for a `maxLength` of 1,000, and 11 s with 128,000 tokens.

    Parameters
    ----------
    cpu_s : float
        Seconds of CPU, of all threads together; the process is killed after it.
    wall_s : float
        Seconds after which the worker kills the process. Not shorter than `cpu_s`: it gives way to
        an engine that may be busy, and that is not the format's fault.
    memory_bytes : int
        Address space in addition to that of the process when it was ready.
    """

    cpu_s: float = 40.0
    wall_s: float = 60.0
    memory_bytes: int = 2 << 30

    @classmethod
    def for_vocabulary(cls, tokens: int) -> Self:
        """Return the limits for a vocabulary; requests wait no longer for a larger one."""
        limits = cls()
        scale = max(1.0, tokens / _MEASURED_TOKENS)
        return replace(limits, cpu_s=min(limits.cpu_s * scale, limits.wall_s))

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the limits that a command line has."""
        return cls(**loads(argument))

    @property
    def argument(self) -> str:
        """The limits as one argument of a command line."""
        return dumps(asdict(self)).decode()


def serve(
    compile_format: Compile, *, limits: GrammarLimits, send: Callable[[Mapping[str, Any]], None]
) -> None:
    """Compile one format after the other until the input ends."""
    os.nice(_NICENESS)
    _limit_memory(limits.memory_bytes)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    send({"ready": True})
    # Compilers print warnings about schemas, with parts of them: they are prompts, and no log's.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in _lines():
        _limit_cpu(limits.cpu_s)
        try:
            send({"refused": _reason(compile_format, loads(line)["format"])})
        except MemoryError:
            # What compilers keep of formats is not given back: the next one would fail, too.
            send({"refused": "it needs too much memory", "ends": True})
            return


def _lines() -> Iterator[bytes]:
    while line := sys.stdin.buffer.readline():
        yield line


def _reason(compile_format: Compile, text_format: Mapping[str, Any]) -> str | None:
    """Return why a format is refused, None if it compiles.

    Raises
    ------
    MemoryError
        The process has no memory left.
    """
    try:
        compile_format(text_format)
    except MemoryError:
        raise
    except Exception as error:
        return str(error).strip()[:_REASON_CHARACTERS] or type(error).__name__
    return None


def _limit_memory(more_bytes: int) -> None:
    if sys.platform != "linux":  # a laptop's tests: elsewhere the limit does not mean the same
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_cpu(seconds: float) -> None:
    """Limit the CPU of the next format by the kernel: native code looks at no clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime + seconds)
    # The soft limit alone: a hard one could not be raised again for the next format.
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
