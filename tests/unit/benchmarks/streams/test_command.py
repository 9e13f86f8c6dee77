from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.streams.command import options_from
from benchmarks.streams.idle_model import IdlePlan
from benchmarks.streams.model import Plan


def test_streams_command_has_the_aims_numbers_by_default() -> None:
    plan, out = options_from([])
    assert isinstance(plan, Plan)
    assert plan.streams == (100, 250, 500, 1000)
    assert (plan.tokens_per_s, plan.seconds) == (20, 8)
    assert plan.peers == (peers.AGENTIC, peers.AXON_SSE, peers.AXON_FRONT)
    assert out is None


def test_streams_command_keeps_choices() -> None:
    plan, out = options_from(
        ["--peers", "axon-front", "--streams", "5,6", "--processes", "3", "--out", "x.md"]
    )
    assert isinstance(plan, Plan)
    assert (plan.peers, plan.streams, plan.processes) == ((peers.AXON_FRONT,), (5, 6), 3)
    assert out == Path("x.md")
    idle, _ = options_from(["--idle", "50"])
    assert isinstance(idle, IdlePlan)
    assert (idle.peer, idle.streams, idle.seconds) == (peers.AXON_SSE, 50, 20)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--peers", "nobody"],
        ["--streams", "0"],
        ["--streams", ","],
        ["--seconds", "0"],
        ["--idle", "0"],
        ["--idle", "5", "--peers", "agentic"],
    ],
)
def test_streams_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        options_from(arguments)
    assert "error" in capsys.readouterr().err
