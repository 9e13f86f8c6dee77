from pathlib import Path

import pytest

from benchmarks.overload.command import plan_from


def test_overload_command_floods_with_ten_thousand_by_default() -> None:
    plan, out = plan_from([])
    assert plan.jobs == 10_000
    assert plan.capacity == pytest.approx(40.0)
    assert out is None


def test_overload_command_keeps_choices() -> None:
    plan, out = plan_from(
        ["--jobs", "7", "--token-ms", "5", "--slots", "2", "--prefetch", "0", "--out", "x.md"]
    )
    assert (plan.jobs, plan.pace.token_ms, plan.slots, plan.prefetch) == (7, 5.0, 2, 0)
    assert out == Path("x.md")


@pytest.mark.parametrize(
    "arguments", [["--jobs", "0"], ["--ttft-ms", "0", "--token-ms", "0"], ["--slots", "many"]]
)
def test_overload_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        plan_from(arguments)
    assert "error" in capsys.readouterr().err
