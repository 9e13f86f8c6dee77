import math

import pytest

from benchmarks import window as module
from benchmarks.clients import Answer
from benchmarks.model import Load
from benchmarks.window import Window


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def load(*, clients: int = 2, cap_s: float = 30.0) -> Load:
    return Load(kind="chat", url="", model="", clients=clients, tokens=1, seconds=4.0, cap_s=cap_s)


def answer(*moments: float, started: float = 0.0) -> Answer:
    return Answer(started=started, frames=len(moments) + 3, delta_moments=list(moments))


async def test_window_opens_and_closes_with_whole_rounds(clock: ManualClock) -> None:
    said: list[str] = []
    window = Window(load=load(), announce=said.append)
    window.warm_up()
    window.add(answer(1.0))
    window.add(answer(1.0))
    assert said == []  # a round, but too early
    clock.now += 1.5
    window.add(answer(1.0))
    assert said == []  # late enough, but half a round
    window.add(answer(1.0))
    assert said == ["window"]
    window.add(answer(1.0))
    clock.now += 3.9
    window.add(answer(1.0))
    assert said == ["window"]  # a round, but too early
    clock.now += 1.1
    window.add(answer(1.0))
    assert said == ["window"]  # late enough, but half a round
    clock.now += 1.0
    window.add(answer(1.0))
    assert said == ["window", "end"]
    window.add(answer(1.0))
    await window.run()
    result = window.result()
    assert (result.finished, result.window_s, result.capped) == (4, 6.0, False)


async def test_window_is_limited_for_a_peer_that_never_finishes() -> None:
    said: list[str] = []
    window = Window(load=load(cap_s=0.05), announce=said.append)
    await window.run()
    result = window.result()
    assert said == ["window", "end"]
    assert result.capped
    assert result.finished == 0
    assert math.isnan(result.ttft_p50_ms)


async def test_window_closes_at_a_failure_and_keeps_later_ones() -> None:
    said: list[str] = []
    window = Window(load=load(), announce=said.append)
    window.fail(ValueError("first"))
    for number in range(9):
        window.fail(OSError(number))
    await window.run()
    assert said == ["end"]
    failures = window.result().failures
    assert failures[0] == "ValueError: first"
    assert len(failures) == 5


async def test_window_result_has_the_figures_of_its_answers(clock: ManualClock) -> None:
    window = Window(load=load(clients=1), announce=lambda _: None)
    window.warm_up()
    clock.now += 2.0
    window.add(answer(9.0))  # warm-up, not measured
    for shift in range(99):
        window.add(answer(0.020, 0.050, 0.090, started=-shift / 1000))
    clock.now += 4.0
    window.add(answer(0.5, 0.6, 2.0))
    result = window.result()
    assert result.finished == 100
    assert result.ttft_p50_ms == pytest.approx(69.0)
    assert result.ttft_p99_ms == pytest.approx(118.0)
    assert result.gap_p99_ms == pytest.approx(40.0)
    assert result.first_second_gap_p99_ms == pytest.approx(40.0)
    assert result.first_second_gap_max_ms == pytest.approx(1400.0)
    assert (result.frames_per_answer, result.frames_max) == (6.0, 6)
