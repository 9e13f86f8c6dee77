from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.streams.command import options_from


def test_streams_command_has_the_aims_numbers_by_default() -> None:
    options, plan = options_from([])
    assert plan.streams == (100, 250, 500, 1000)
    assert (plan.tokens_per_s, plan.seconds) == (20, 8)
    assert plan.peers == (peers.AGENTIC, peers.AXON_SSE, peers.AXON_FRONT)
    assert options.out is None


def test_streams_command_keeps_choices() -> None:
    options, plan = options_from(
        ["--peers", "axon-front", "--streams", "5,6", "--processes", "3", "--out", "x.md"]
    )
    assert (plan.peers, plan.streams, plan.processes) == ((peers.AXON_FRONT,), (5, 6), 3)
    assert options.out == Path("x.md")


@pytest.mark.parametrize(
    "arguments",
    [["--peers", "nobody"], ["--streams", "0"], ["--streams", ","], ["--seconds", "0"]],
)
def test_streams_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        options_from(arguments)
    assert "error" in capsys.readouterr().err
