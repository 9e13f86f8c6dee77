import pytest

from benchmarks.engine.report import added_ms, evaluate, render
from tests.unit.benchmarks.engine.leg_samples import pair


def test_engine_targets_use_the_medians_of_the_pairs() -> None:
    aims = evaluate([pair(ratio=0.5), pair(ratio=0.95), pair(ratio=0.97, added_ms=99)])
    assert [aim.met for aim in aims] == [True, True]
    assert aims[0].figure == "0.950 (0.500 to 0.970)"
    assert aims[1].figure == "5.0 (5.0 to 99.0) ms"


@pytest.mark.parametrize(
    ("ratio", "added", "met"), [(0.94, 14.9, [False, True]), (0.95, 15.0, [True, False])]
)
def test_engine_targets_can_each_be_missed_alone(
    ratio: float, added: float, met: list[bool]
) -> None:
    assert [aim.met for aim in evaluate([pair(ratio=ratio, added_ms=added)])] == met


def test_engine_targets_check_throughput_at_32_requests_only() -> None:
    aims = evaluate([pair(clients=1, ratio=0.1), pair(clients=8, ratio=0.1)])
    assert [aim.met for aim in aims] == [None, True, True]


def test_added_ms_is_p50_less_p50() -> None:
    assert added_ms(pair(added_ms=7.0)) == pytest.approx(7.0)


def test_engine_report_has_a_row_for_each_number_of_requests_and_side() -> None:
    text = render([pair(clients=1), pair(clients=1), pair(clients=32)], ["Date: today"])
    assert "- Date: today" in text
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    assert [
        "1",
        "2",
        "100",
        "96.0",
        "0.960 (0.960 to 0.960)",
        "10.0",
        "15.0",
        "5.0 (5.0 to 5.0)",
    ] in rows
    # 32 requests, 64 answers in each leg.
    assert ["32", "direct", "64", "3.12", "engine 3.12", "-", "1.00"] in rows
    assert ["32", "axon", "64", "4.69", "worker-0 3.12, relay-0 1.56", "1.00", "1.00"] in rows
