import pytest

from benchmarks.affinity.report import first_ms, hit_rate, render, repeat_hit_rate
from tests.unit.benchmarks.affinity.leg_samples import leg, plan, turn

TURNS = [
    turn(0, 0, first_ms=900.0),
    turn(1, 0, first_ms=900.0),
    turn(0, 1, first_ms=20.0, tokens=150),
    turn(1, 1, first_ms=40.0, tokens=150),
]
SLOW = [
    turn(0, 0),
    turn(1, 0),
    turn(0, 1, first_ms=80.0, tokens=150),
    turn(1, 1, first_ms=None, tokens=150),
]
KEPT = leg(*TURNS, queries=500, hits=240, seconds=4)
FREE = leg(*SLOW, affinity=False, queries=500, hits=120, seconds=8)


def test_affinity_report_figures() -> None:
    assert hit_rate(KEPT) == pytest.approx(0.48)
    assert repeat_hit_rate(KEPT) == pytest.approx(1.0)
    assert (first_ms(KEPT, 50), first_ms(KEPT, 90)) == (20.0, 40.0)
    assert first_ms(FREE, 90) == 80.0


def test_affinity_report_shows_both_legs_and_their_ratio() -> None:
    text = render([KEPT, FREE], plan(), ["a machine"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    table = {row[0]: row[1:] for row in rows if row}
    assert table["true"] == [
        "worker-0 3, worker-1 1", "240 / 500", "0.480", "1.000", "20.0", "40.0", "4.00"
    ]  # fmt: skip
    assert table["false"][1:4] == ["120 / 500", "0.240", "0.500"]
    assert table["ratio"] == ["", "", "2.00", "2.00", "0.25", "0.50", "0.50"]
    assert "- a machine" in text
    assert "3 conversations of 2 turns, 2 at a time" in text
    assert "Prompts: 100 tokens at first (p50), 150 at most" in text
    assert "Answers without text: 1" in text


def test_affinity_report_shows_no_hits_for_an_engine_without_a_cache() -> None:
    text = render([leg(*TURNS), leg(*TURNS, affinity=False)], plan(), [])
    assert "| true     | worker-0 3, worker-1 1 | -              | -        | -  " in text
    assert "Answers without text" not in text
