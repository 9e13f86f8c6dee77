import math

from benchmarks.peers import AXON, LITELLM_2, MOCK
from benchmarks.report import render, table
from benchmarks.run import Results
from tests.unit.benchmarks.measurement_samples import SLOW, measurement


def row(text: str, *starts: str) -> list[str]:
    """Cells of the first row that begins with these."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if tuple(cells[: len(starts)]) == starts:
            return cells
    raise AssertionError(f"no row {starts} in\n{text}")


def test_table_is_aligned() -> None:
    assert table(("a", "bbb"), [("long", "1"), ("x", "22")]) == (
        "| a    | bbb |\n| ---- | --- |\n| long | 1   |\n| x    | 22  |"
    )


def test_report_has_every_figure_in_its_row() -> None:
    cpu = {"lambda": 0.25, "worker-0": 2.0}
    one = measurement(AXON, clients=64, per_s=12.5, p50=5.25, p99=250, cpu_s=cpu)
    text = render(Results(measurements=[measurement(MOCK, clients=64), one]), ["Date: today"])
    assert "- Date: today" in text
    assert row(text, "64", AXON) == [
        "64", AXON, "12.5", "5.25", "250", "3.00",
        "18.0", "worker-0 16.0, lambda 2.00", "4.00", "1.00", "78.0",
    ]  # fmt: skip
    assert row(text, "64", MOCK)[-1] == "-"
    assert "FAILURES" not in text


def test_report_sorts_rows_and_has_a_table_for_each_pace() -> None:
    measured = [
        measurement(peer, clients=clients, pace=pace)
        for pace in (measurement(AXON).cell.pace, SLOW)
        for clients in (1, 16)
        for peer in (AXON, LITELLM_2, MOCK)
    ]
    text = render(Results(measurements=measured), [])
    assert text.index("full speed") < text.index("20 ms + 5 ms a token")
    first = text.split("## Answers")[1].splitlines()
    names = [line.split("|")[2].strip() for line in first if line.startswith("| 1")]
    assert names == [MOCK, LITELLM_2, AXON] * 2


def test_report_shows_failures_without_their_figures() -> None:
    bad = measurement(AXON, failures=("WrongAnswerError: expected x",))
    results = Results(measurements=[bad], long_answers=[bad], warnings=["full speed: busy"])
    text = render(results, [])
    assert row(text, "1", AXON)[2:] == ["FAILED", *("-" for _ in range(8))]
    assert row(text, AXON)[1] == "FAILED"
    assert "## FAILURES" in text
    assert text.count("WrongAnswerError: expected x") == 2
    assert "- full speed: busy" in text


def test_report_has_a_table_of_long_answers() -> None:
    long_answer = measurement(AXON, tokens=500, frames_max=88, first_gap=math.nan)
    text = render(Results(long_answers=[long_answer]), [])
    assert row(text, AXON) == [AXON, "1000", "86.0", "88", "-", "-", "3.00"]
