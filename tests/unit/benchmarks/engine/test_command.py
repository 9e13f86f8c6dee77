import json
from pathlib import Path

import pytest

from benchmarks.engine.command import options_from, settings_for
from benchmarks.engine.model import AXON, AXON_SSE


def test_engine_command_uses_smollm2_by_default() -> None:
    options, plan = options_from([])
    assert options.engine == "smollm2"
    assert (plan.clients, plan.tokens, plan.pairs, plan.seconds) == ((1, 8, 32), 64, 4, 6.0)


def test_engine_command_takes_a_model_and_an_interpreter_for_vllm() -> None:
    options, plan = options_from(
        ["--engine", "vllm", "--model", "models/x", "--python", "p", "--clients", "2,4"]
    )
    assert (options.model, options.python) == (Path("models/x"), Path("p"))
    assert plan.clients == (2, 4)
    assert plan.sides == (AXON, AXON_SSE)
    _, one = options_from(["--sides", "axon-sse"])
    assert one.sides == (AXON_SSE,)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--engine", "vllm"],
        ["--model", "x"],
        ["--python", "p"],
        ["--clients", "0,1"],
        ["--clients", ","],
        ["--pairs", "0"],
        ["--sides", "nobody"],
        ["--sides", ","],
    ],
)
def test_engine_command_refuses_invalid_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        options_from(arguments)
    assert "error" in capsys.readouterr().err


def test_engine_command_sets_slots_and_keeps_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AXON_SLOTS", "AXON_VLLM_ARGUMENTS", "AXON_MAX_MODEL_LEN"):
        monkeypatch.delenv(name, raising=False)
    _, plan = options_from([])
    assert settings_for("smollm2", plan) == {"AXON_SLOTS": "32"}
    assert json.loads(settings_for("vllm", plan)["AXON_VLLM_ARGUMENTS"])["enforce_eager"]
    monkeypatch.setenv("AXON_VLLM_ARGUMENTS", "{}")
    assert settings_for("vllm", plan)["AXON_VLLM_ARGUMENTS"] == "{}"
