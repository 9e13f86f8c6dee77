"""The measured window of one cell: when it begins and ends, and its answers."""

import asyncio
import math
from collections.abc import Callable
from time import perf_counter, process_time

from benchmarks.clients import Answer
from benchmarks.model import Load, LoadResult
from benchmarks.stats import first_second_gap, gaps, percentile

_KEPT_FAILURES = 5


class Window:
    """Collects answers, and decides when the window opens and closes.

    It opens and closes with whole rounds (as many answers as there are clients): clients that
    start together also end together for a long time, and a window that cuts a round would count too
    many or too few answers.
    """

    def __init__(self, *, load: Load, announce: Callable[[str], None]) -> None:
        self._load = load
        self._announce = announce
        self._warm_at = math.inf
        self._finished_before = 0
        self._opened_at = 0.0
        self._cpu_at = 0.0
        self._cpu_s = 0.0
        self._length_s = 0.0
        self._capped = False
        self._answers: list[Answer] = []
        self._failures: list[str] = []
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()

    def warm_up(self) -> None:
        """Begin the warm-up; its answers are not measured."""
        self._warm_at = perf_counter() + min(1.0, self._load.seconds / 2)

    def add(self, answer: Answer) -> None:
        """Add an answer; open or close the window if it completes a round."""
        if self.closed.is_set():
            return
        if not self.opened.is_set():
            self._finished_before += 1
            if self._finished_before % self._load.clients == 0 and perf_counter() >= self._warm_at:
                self.open()
            return
        self._answers.append(answer)
        full = len(self._answers) % self._load.clients == 0
        if full and perf_counter() - self._opened_at >= self._load.seconds:
            self.close()

    def fail(self, error: BaseException) -> None:
        """Record a failure, and close the window."""
        if len(self._failures) < _KEPT_FAILURES:
            self._failures.append(f"{type(error).__name__}: {error}"[:500])
        self.close()

    def open(self) -> None:
        """Open the window."""
        self._opened_at, self._cpu_at = perf_counter(), process_time()
        self.opened.set()
        self._announce("window")

    def close(self) -> None:
        """Close the window, once."""
        if self.closed.is_set():
            return
        if self.opened.is_set():
            self._length_s = perf_counter() - self._opened_at
            self._cpu_s = process_time() - self._cpu_at
        self.opened.set()
        self.closed.set()
        self._announce("end")

    async def run(self) -> None:
        """Wait until the window has closed; the time limit opens and closes it in any case."""
        for event, act in ((self.opened, self.open), (self.closed, self.close)):
            try:
                await asyncio.wait_for(event.wait(), self._load.cap_s)
            except TimeoutError:
                self._capped = True
                act()

    def result(self) -> LoadResult:
        """Return the figures; to be called after `run`."""
        moments = [answer.delta_moments for answer in self._answers]
        ttfts = [answer.ttft_s for answer in self._answers]
        frames = [answer.frames for answer in self._answers]
        firsts = [first_second_gap(m) for m in moments if len(m) > 1]
        return LoadResult(
            finished=len(self._answers),
            window_s=self._length_s,
            capped=self._capped,
            ttft_p50_ms=percentile(ttfts, 50) * 1000,
            ttft_p99_ms=percentile(ttfts, 99) * 1000,
            gap_p99_ms=percentile((gap for m in moments for gap in gaps(m)), 99) * 1000,
            frames_per_answer=sum(frames) / max(len(frames), 1),
            frames_max=max(frames, default=0),
            first_second_gap_p99_ms=percentile(firsts, 99) * 1000,
            first_second_gap_max_ms=percentile(firsts, 100) * 1000,
            client_cpu_s=self._cpu_s,
            failures=self._failures,
        )
