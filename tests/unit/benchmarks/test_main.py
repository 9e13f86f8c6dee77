from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.__main__ import main, plan_from
from benchmarks.model import Pace


def test_main_runs_everything_by_default() -> None:
    plan, out = plan_from([])
    assert plan.peers == peers.ALL
    assert plan.clients == (1, 16, 64, 256)
    assert plan.tokens == (16, 128)
    assert plan.paces == (Pace(ttft_ms=0, token_ms=0), Pace(ttft_ms=20, token_ms=5))
    assert plan.seconds == 6.0
    assert out is None


def test_main_quick_is_smaller_and_keeps_choices() -> None:
    plan, _ = plan_from(["--quick"])
    assert (plan.clients, plan.seconds) == ((1, 64), 2.0)
    plan, out = plan_from(
        [
            "--quick",
            "--clients",
            "3",
            "--seconds",
            "1",
            "--tokens",
            "5,6",
            "--paces",
            "1+2.5",
            "--peers",
            "axon,mock",
            "--out",
            "x.md",
        ]
    )
    assert (plan.clients, plan.tokens, plan.seconds) == ((3,), (5, 6), 1.0)
    assert plan.paces == (Pace(ttft_ms=1, token_ms=2.5),)
    assert plan.peers == (peers.MOCK, peers.AXON)
    assert out == Path("x.md")


@pytest.mark.parametrize(
    "arguments", [["--peers", "nobody"], ["--clients", "many"], ["--paces", "fast"]]
)
def test_main_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        plan_from(arguments)
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["engine", "overload"])
def test_main_passes_the_rest_of_the_line_to_another_benchmark(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> int:
        got.append(arguments)
        return 7

    monkeypatch.setattr(f"benchmarks.{name}.command.main", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # pytest's own stay
    monkeypatch.setattr("sys.argv", ["benchmarks", name, "--out", "x.md"])
    assert main() == 7
    assert got == [["--out", "x.md"]]
