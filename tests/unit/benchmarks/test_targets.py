import math

from benchmarks.peers import AXON, LITELLM_1, LITELLM_2
from benchmarks.targets import Target, evaluate
from tests.unit.benchmarks.measurement_samples import SLOW, measurement

GOOD = [
    measurement(AXON, p50=14.9),
    measurement(AXON, pace=SLOW, p50=3.0),
    measurement(AXON, clients=64, tokens=16, per_s=176, p99=800),
    measurement(LITELLM_2, clients=64, tokens=16, per_s=176, p99=900),
    measurement(LITELLM_1, clients=64, tokens=16, per_s=999, p99=1),
    measurement(AXON, clients=64, tokens=128, per_s=112, p99=10),
    measurement(LITELLM_2, clients=64, tokens=128, per_s=28, p99=11),
    # At a slow pace requests/s are the pace's: they say nothing of the cost.
    measurement(AXON, clients=64, tokens=128, pace=SLOW, per_s=1, p99=10),
    measurement(LITELLM_2, clients=64, tokens=128, pace=SLOW, per_s=1, p99=11),
]
LONG = [measurement(AXON, tokens=500, frames_max=90, first_gap=50.0)]


def met(aims: list[Target]) -> list[bool | None]:
    return [aim.met for aim in aims]


def test_targets_are_all_met_at_their_limits() -> None:
    assert met(evaluate(GOOD, LONG)) == [True] * 6


def test_targets_without_measurements_are_neither_met_nor_missed() -> None:
    assert met(evaluate([], [])) == [None] * 6
    assert {aim.verdict for aim in evaluate([], [])} == {"not measured"}


def test_targets_can_each_be_missed_alone() -> None:
    misses = {
        0: measurement(AXON, tokens=128, p50=15.0),
        1: measurement(AXON, clients=64, tokens=16, per_s=176, p99=900),
        2: measurement(AXON, clients=64, tokens=16, per_s=175, p99=800),
        3: measurement(AXON, clients=64, tokens=128, per_s=111, p99=10),
    }
    for place, worse in misses.items():
        others = [one for one in GOOD if (one.peer, one.cell) != (worse.peer, worse.cell)]
        expected = [index != place for index in range(6)]
        assert met(evaluate([*others, worse], LONG)) == expected


def test_targets_of_long_answers_are_posts_and_gaps() -> None:
    assert met(evaluate(GOOD, [measurement(AXON, frames_max=91)]))[4:] == [False, True]
    assert met(evaluate(GOOD, [measurement(AXON, first_gap=50.1)]))[4:] == [True, False]
    assert met(evaluate(GOOD, [measurement(AXON, first_gap=math.nan)]))[4:] == [True, False]


def test_targets_are_missed_by_a_failed_measurement() -> None:
    failed = [
        measurement(
            one.peer,
            clients=one.cell.clients,
            tokens=one.cell.tokens,
            pace=one.cell.pace,
            per_s=one.requests_per_s,
            failures=("wrong",) if one.peer == AXON else (),
        )
        for one in GOOD
    ]
    assert met(evaluate(failed, [measurement(AXON, failures=("wrong",))])) == [False] * 6


def test_targets_survive_a_litellm_that_fails_everything() -> None:
    broken = measurement(LITELLM_2, clients=64, tokens=16, per_s=0, p99=math.nan)
    aims = evaluate([measurement(AXON, clients=64, tokens=16), broken], [])
    assert [aim.met for aim in aims[1:3]] == [None, None]
