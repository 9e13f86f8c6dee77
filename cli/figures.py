"""The figures of an answer: tokens, time to the first one, tokens/s."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of a turn, as the API counts them; `cached` is a part of `input`."""

    input: int
    output: int
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of an answer; None is what is not known.

    Parameters
    ----------
    usage : Usage | None
        The tokens.
    first_s : float | None
        Seconds from the request to the first text.
    generation_s : float | None
        Seconds from the first text to the last one.
    """

    usage: Usage | None = None
    first_s: float | None = None
    generation_s: float | None = None

    @property
    def rate(self) -> float | None:
        """Tokens per second after the first one."""
        if self.usage is None or self.usage.output < 2 or not self.generation_s:
            return None
        return (self.usage.output - 1) / self.generation_s

    def __str__(self) -> str:
        parts = []
        if usage := self.usage:
            cached = f" ({usage.cached} cached)" if usage.cached else ""
            parts += [f"{usage.output} tokens", f"{usage.input} in{cached}"]
        if self.first_s is not None:
            parts.append(f"first after {_span(self.first_s)}")
        if (rate := self.rate) is not None:
            parts.append(f"{rate:.{1 if rate < 10 else 0}f} tokens/s")
        return ", ".join(parts)


class Stopwatch:
    """Times one answer, from the moment of its creation.

    Parameters
    ----------
    now : Callable[[], float]
        Returns the time in seconds; its beginning does not matter.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._first: float | None = None
        self._last = self._began

    def text(self) -> None:
        """Note that text has come."""
        self._last = self._now()
        if self._first is None:
            self._first = self._last

    def figures(self, usage: Usage | None) -> Figures:
        """Return the figures of an answer that has ended."""
        if self._first is None:
            return Figures(usage=usage)
        return Figures(
            usage=usage,
            first_s=self._first - self._began,
            generation_s=self._last - self._first,
        )


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
