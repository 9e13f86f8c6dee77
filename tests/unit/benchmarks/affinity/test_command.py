import json
from pathlib import Path

import pytest

from benchmarks.affinity.command import plan_from, settings_for

VLLM = ["--engine", "vllm", "--model", "models/x"]


def test_affinity_command_has_defaults() -> None:
    plan, out = plan_from(["--model", "models/x", "--python", "p"])
    assert (plan.engine, plan.model, plan.python) == ("vllm", Path("models/x"), Path("p"))
    assert (plan.workers, plan.conversations, plan.turns, plan.concurrency) == (2, 12, 5, 4)
    assert (plan.tokens, plan.words) == (32, 512)
    assert out is None


def test_affinity_command_keeps_choices() -> None:
    plan, out = plan_from(["--engine", "echo", "--workers", "3", "--turns", "2", "--out", "x.md"])
    assert (plan.engine, plan.model, plan.workers, plan.turns) == ("echo", None, 3, 2)
    assert out == Path("x.md")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--engine", "echo", "--model", "x"],
        ["--engine", "echo", "--python", "p"],
        [*VLLM, "--workers", "0"],
        [*VLLM, "--concurrency", "0"],
        [*VLLM, "--conversations", "0"],
        [*VLLM, "--turns", "1"],
    ],
)
def test_affinity_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        plan_from(arguments)
    assert "error" in capsys.readouterr().err


def test_affinity_command_keeps_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AXON_SLOTS", "AXON_VLLM_ARGUMENTS", "AXON_MAX_MODEL_LEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AXON_PREFIX_AFFINITY", "false")
    echo, _ = plan_from(["--engine", "echo"])
    assert settings_for(echo) == {"AXON_SLOTS": "4"}
    vllm, _ = plan_from(VLLM)
    assert json.loads(settings_for(vllm)["AXON_VLLM_ARGUMENTS"])["enforce_eager"]
    monkeypatch.setenv("AXON_MAX_MODEL_LEN", "4096")
    settings = settings_for(vllm)
    assert settings["AXON_MAX_MODEL_LEN"] == "4096"
    assert "AXON_PREFIX_AFFINITY" not in settings
