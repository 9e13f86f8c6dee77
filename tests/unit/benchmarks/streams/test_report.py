from dataclasses import replace

import pytest

from benchmarks.peers import AGENTIC, AXON_SSE
from benchmarks.streams.model import Measurement, Plan
from benchmarks.streams.report import costs, evaluate, render
from tests.unit.benchmarks.streams.measurement_samples import measurement, streams_seen

PLAN = Plan(
    peers=(AGENTIC, AXON_SSE),
    streams=(100, 1000),
    tokens_per_s=20,
    seconds=10,
    opened_per_s=100,
    processes=2,
)
FEW = measurement(100, front_cores=0.05, worker_cores=0.1)


@pytest.mark.parametrize(
    ("crowd", "met"),
    [
        (measurement(1000), [True, True, True, True]),
        (measurement(1000, front_cores=1.0, worker_cores=0.5), [False, True, True, True]),
        (measurement(1000, front_mb=400), [True, False, True, True]),
        (measurement(1000, seen=streams_seen(1000, gap_ms=150)), [True, True, False, True]),
        (measurement(1000, worker_cores=1.4), [True, True, True, False]),
        # One stream has begun after the window.
        (measurement(1000, seen=replace(streams_seen(1000), held=999)), [False] * 4),
        (measurement(500), [None] * 4),
    ],
)
def test_streams_targets_can_each_be_missed_alone(
    crowd: Measurement, met: list[bool | None]
) -> None:
    assert [aim.met for aim in evaluate([FEW, crowd])] == met


def test_streams_report_shows_each_cell_and_what_has_failed() -> None:
    late = measurement(1000, seen=replace(streams_seen(1000), held=1))
    broken = measurement(100, peer=AGENTIC, seen=replace(streams_seen(99), failed=1))
    broken = replace(broken, cpu_s={"agentic-api": 1.0}, mb={"agentic-api": 1.0})
    text = render([late, FEW, broken], PLAN, ["Date: today"])
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    assert [
        *("100", AXON_SSE, "100", "100", "0.00", "0.00", "10.0", "10.0", "100"),
        *("0.05", "0.15", "0.20", "0.500", "1.500", "100", "0"),
    ] in rows
    assert ["100", AXON_SSE, "worker-0 1.000, front 0.500", "front 100, worker-0 90"] in rows
    assert "| 1000*" in text
    assert "FAILED agentic-api, SSE, 100 streams: 99 whole, 1 failed" in text
    assert "20 tokens/s a stream" in text


def test_costs_are_by_stream_second() -> None:
    lines = costs([measurement(1000), FEW])
    assert {name: [streams for streams, _ in line] for name, line in lines.items()} == {
        "axon, SSE: all processes": [100, 1000],
        "axon, SSE: front": [100, 1000],
    }
    assert [ms for _, ms in lines["axon, SSE: all processes"]] == pytest.approx([1.5, 1.5])
