from dataclasses import replace

import pytest

from benchmarks.peers import AXON_SSE
from benchmarks.streams.idle_model import IdlePlan, IdleResult, IdleSeen, merged
from benchmarks.streams.idle_report import evaluate, render

PLAN = IdlePlan(peer=AXON_SSE, streams=10_000, seconds=20, opened_per_s=100, processes=2)
SEEN = IdleSeen(opened=10_000, comments=5, resumed=1000, answered=10_000)
RESULT = IdleResult(
    before_mb={"front": 100.0, "valkey": 10.0, "relay-0": 68.0},
    mb={"front": 500.0, "valkey": 110.0, "relay-0": 68.2},
    tcp_mb=0.5,
    cores={"front": 0.25, "valkey": 0.1, "relay-0": 0.001},
    commands_per_s=1234.0,
    seen=SEEN,
)


@pytest.mark.parametrize(
    ("result", "met"),
    [
        (RESULT, [True, True]),
        (replace(RESULT, mb={"front": 1400.0, "valkey": 100.0}), [False, True]),
        (replace(RESULT, seen=replace(SEEN, answered=9_999)), [False, False]),
        (replace(RESULT, seen=replace(SEEN, resumed=999)), [False, False]),
        (replace(RESULT, seen=replace(SEEN, failures=["x"])), [False, False]),
    ],
)
def test_idle_targets_need_every_answer(result: IdleResult, met: list[bool]) -> None:
    assert [aim.met for aim in evaluate(result, PLAN)] == met
    assert evaluate(result, replace(PLAN, streams=100))[0].met is None


def test_idle_report_shows_what_a_stream_costs() -> None:
    failed = replace(RESULT, seen=merged([SEEN, IdleSeen(failures=["TimeoutError: late"])]))
    text = render(failed, PLAN, ["Date: today"])
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    assert ["front", "100", "500", "40.0", "0.250"] in rows
    assert ["commands of Valkey per second", "1234"] in rows
    assert not any(row[0] == "relay-0" for row in rows)
    assert "- TimeoutError: late" in text
