from dataclasses import replace

from benchmarks.model import Pace
from benchmarks.overload.model import FloodResult, Plan, Results, Sample
from benchmarks.overload.report import evaluate, flood_rate, render
from benchmarks.peers import AXON
from tests.unit.benchmarks.measurement_samples import measurement

PLAN = Plan(
    jobs=50, connections=5, tokens=20, pace=Pace(ttft_ms=20, token_ms=20), slots=4, prefetch=9,
    deadline_s=10,
)  # fmt: skip


def sample(second: float, worker_mb: float) -> Sample:
    mb = {"worker-0": worker_mb, "relay-0": 70.0, "valkey": 20.0}
    return Sample(second=second, mb=mb, waiting=8)


SEEN = FloodResult(
    outcomes={"completed": 31, "failed, server_error: Late.": 19},
    accepted_at=[0.1 * n for n in range(50)],
    completed_at=[0.1 * (n + 1) for n in range(31)],
    failed_at=[5.0] * 19,
)
GOOD = Results(
    plan=PLAN,
    before=measurement(AXON, per_s=10),
    seen=SEEN,
    samples=[sample(n, 100 + min(n, 2)) for n in range(7)],
    idle_mb=90,
    shed={("infer", "released"): 4.0},
)


def met(results: Results) -> list[bool | None]:
    return [aim.met for aim in evaluate(results)]


def test_plan_capacity_is_slots_by_the_time_of_an_answer() -> None:
    assert PLAN.answer_s == 0.4
    assert PLAN.capacity == 10.0


def test_overload_targets_are_all_met() -> None:
    assert round(flood_rate(SEEN), 6) == 10.0
    assert met(GOOD) == [True, True, True, True, None]


def test_overload_targets_can_each_be_missed_alone() -> None:
    lost = replace(SEEN, outcomes={"completed": 31, "lost": 19})
    fewer = replace(SEEN, outcomes={"completed": 31})
    wrong = replace(SEEN, wrong=["a gap"])
    for seen in (lost, fewer, wrong):
        assert met(replace(GOOD, seen=seen)) == [False, True, True, True, None]
    growing = [sample(n, 100 + 5 * n) for n in range(7)]
    assert met(replace(GOOD, samples=growing)) == [True, False, True, True, None]
    large = [sample(n, 500) for n in range(7)]
    assert met(replace(GOOD, samples=large)) == [True, True, False, True, None]
    faster = measurement(AXON, per_s=10.6)
    assert met(replace(GOOD, before=faster)) == [True, True, True, False, None]


def test_overload_targets_survive_a_flood_without_completed_responses() -> None:
    none = replace(SEEN, outcomes={"lost": 50}, completed_at=[])
    assert met(replace(GOOD, seen=none, samples=[])) == [False, None, None, False, None]


def test_overload_report_shows_the_course_of_the_flood() -> None:
    text = render(GOOD, ["Date: today"])
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    assert ["failed, server_error: Late.", "19"] in rows
    assert ["infer", "released", "4"] in rows
    assert ["2", "21", "20", "10.0", "0", "8", "102", "70", "20"] in rows
    assert ["6", "50", "31", "0.00", "19", "8", "102", "70", "20"] in rows
    assert "FAILURES" not in text
    assert "No queue" in render(replace(GOOD, shed={}), [])
    assert "- a gap" in render(replace(GOOD, seen=replace(SEEN, wrong=["a gap"])), [])
