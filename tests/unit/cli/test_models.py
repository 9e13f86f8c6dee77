"""`axon models` before a stand-in for Lambda."""

import re
from typing import Any

import pytest

from cli import model_progress
from cli.main import main
from cli.models import setting
from tests.unit.cli.conftest import FakeLambda

ENV = ("--env", "prod")
LOAD = ("load", "llama", "--engine", "vllm", "--uri", "s3://models/llama", *ENV)
SETTINGS = {"engine": "vllm", "model_uri": "s3://models/llama"}
State = tuple[str, int]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_progress, "POLL_EVERY_S", 0)


def model(
    *, version: int = 7, wanted: dict[str, Any] | None = SETTINGS, workers: int = 2, **states: State
) -> dict[str, Any]:
    """Return the model llama as the function reports it; workers that fail have "no memory"."""
    return {
        "name": "llama",
        "wanted": wanted,
        "version": version,
        "serving": sum(state == "serving" for state, _ in states.values()),
        "workers": workers,
        "states": {
            worker_id: {"state": state, "version": of, "reason": "no memory" * (state == "failed")}
            for worker_id, (state, of) in states.items()
        },
    }


def changed(*, told: bool = True, workers: tuple[str, ...] = ("w1", "w2"), **of: Any) -> Any:
    return {"model": model(**of), "workers": workers, "told": told}


def listed(*, workers: tuple[str, ...] = ("w1", "w2"), **of: Any) -> Any:
    return {"models": [model(**of)], "workers": workers}


def test_models_load_waits_until_every_worker_serves_it(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [
        changed(),
        listed(w1=("loading", 7)),
        listed(w1=("loading", 7)),
        listed(w1=("serving", 7)),
        listed(w1=("serving", 7), w2=("loading", 7)),
        listed(w1=("serving", 7), w2=("serving", 7)),
    ]
    assert main(["models", *LOAD, "--set", "max_model_len=4096"]) == 0
    event = {
        "action": "load",
        "name": "llama",
        "settings": SETTINGS | {"max_model_len": 4096},
        "in_place": False,
    }
    assert service.asked[0] == ("axon-prod-models", event)
    assert service.asked[1:] == [("axon-prod-models", {"action": "list"})] * 5
    output = capsys.readouterr()
    assert output.out == "llama is served by 2 workers\n"
    assert output.err.splitlines() == ["w1: loading", "w1: serving", "w2: loading", "w2: serving"]


@pytest.mark.parametrize(
    ("count", "told"), [(2, "m0, m1"), (21, ", m18, m19 and 1 more: axon models list")]
)
def test_models_load_says_under_which_names_an_upstream_is_served(
    service: FakeLambda, capsys: pytest.CaptureFixture[str], count: int, told: str
) -> None:
    names = [f"m{number}" for number in range(count)]
    served = model(w1=("serving", 7)) | {"served_as": names}
    service.answers += [changed(workers=("w1",)), {"models": [served], "workers": ["w1"]}]
    assert main(["models", *LOAD]) == 0
    assert capsys.readouterr().out.startswith("llama is served by 1 worker as m0, m1")
    service.answers += [changed(workers=("w1",)), {"models": [served], "workers": ["w1"]}]
    assert main(["models", *LOAD]) == 0
    assert capsys.readouterr().out.endswith(f"{told}\n")


def test_models_load_of_an_adapter_names_its_model(service: FakeLambda) -> None:
    service.answers += [changed(workers=())]
    uri = "s3://models/pirate"
    assert main(["models", "load", "pirate", "--adapter-of", "llama", "--uri", uri, *ENV]) == 0
    assert service.asked[0][1]["settings"] == {"adapter_of": "llama", "model_uri": uri}


def test_models_swap_waits_until_the_old_one_is_gone(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [
        changed(w1=("serving", 3), workers=("w1",)),
        listed(w1=("serving", 3), workers=("w1",)),
        listed(w1=("serving", 7), workers=("w1",)),
    ]
    assert main(["models", "swap", *LOAD[1:], "--in-place"]) == 0
    assert service.asked[0][1]["action"] == "swap"
    assert service.asked[0][1]["in_place"] is True
    assert len(service.asked) == 3
    output = capsys.readouterr()
    assert (output.out, output.err) == ("llama is served by 1 worker\n", "w1: serving\n")


def test_models_unload_waits_until_no_worker_has_it(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [
        changed(wanted=None, w1=("serving", 3), w2=("failed", 3)),
        listed(wanted=None, w1=("unloading", 3)),
        listed(wanted=None),
    ]
    assert main(["models", "unload", "llama", *ENV]) == 0
    assert service.asked[0][1] == {"action": "unload", "name": "llama"}
    output = capsys.readouterr()
    assert output.out == "llama is unloaded\n"
    assert output.err.splitlines() == [
        "w2: unloading",
        "w1: unloading",
        "w2: unloaded",
        "w1: unloaded",
    ]


def test_models_load_ends_when_a_worker_fails(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [
        changed(w1=("failed", 3)),  # of the settings before
        listed(w1=("failed", 3), w2=("loading", 7)),
        listed(w1=("loading", 7), w2=("failed", 7)),
    ]
    assert main(["models", *LOAD]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "axon: w2 cannot serve llama: no memory"
    assert lines[:-1] == ["w2: loading", "w1: loading", "w2: failed"]


def test_models_load_ends_at_its_timeout(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [changed(w1=("serving", 7))]
    assert main(["models", *LOAD, "--timeout", "0"]) == 1
    said = "axon: after 0 s llama is serving on 1 of 2 workers; they go on: axon models list"
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_models_load_ends_at_another_change(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [changed(), listed(version=8)]
    assert main(["models", *LOAD]) == 1
    assert capsys.readouterr().err == "axon: llama was changed again, to version 8\n"


def test_models_load_waits_for_new_workers_and_not_for_gone_ones(service: FakeLambda) -> None:
    service.answers += [
        changed(workers=("w1",)),
        listed(workers=("w1", "w2"), w1=("serving", 7)),
        listed(workers=("w2",), w2=("loading", 7)),
        listed(workers=("w2",), w2=("serving", 7)),
    ]
    assert main(["models", *LOAD]) == 0
    assert len(service.asked) == 4


def test_models_load_reports_a_failed_poll_once_and_retries(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    away = {"error": {"code": "unavailable", "message": "Valkey: away"}}
    service.answers += [changed(), away, away, listed(w1=("serving", 7), w2=("serving", 7))]
    assert main(["models", *LOAD]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["axon-prod-models: Valkey: away", "w1: serving", "w2: serving"]


@pytest.mark.parametrize("more", [[], ["--no-wait"]])
def test_models_load_does_not_wait_without_workers(
    service: FakeLambda, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    service.answers += [changed(workers=())]
    assert main(["models", *LOAD, *more]) == 0
    assert len(service.asked) == 1
    said = "llama is loaded when a request starts a worker: none runs now\n"
    assert capsys.readouterr().out == said


def test_models_load_with_no_wait_returns_at_once(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [changed(told=False)]
    assert main(["models", *LOAD, "--no-wait"]) == 0
    assert len(service.asked) == 1
    output = capsys.readouterr()
    assert output.out == "llama has version 7\n"
    assert output.err == "the workers could not be notified; they find out within 30 s\n"


@pytest.mark.parametrize(
    ("of", "cells"),
    [
        ({"w1": ("serving", 7), "w2": ("failed", 7)}, ["serving 1/2", "7", "vllm"]),
        ({"w1": ("loading", 7), "w2": ("failed", 7)}, ["loading", "7", "vllm"]),
        ({"w1": ("failed", 7)}, ["failed", "7", "vllm"]),
        ({}, ["wanted", "7", "vllm"]),
        ({"wanted": None, "w1": ("serving", 3)}, ["unloading", "7", "-"]),
        ({"wanted": None}, ["unloaded", "7", "-"]),
        ({"wanted": None, "version": 0}, ["wanted", "0", "-"]),
        ({"wanted": None, "version": 0, "w1": ("serving", 0)}, ["serving 1/2", "0", "-"]),
    ],
)
def test_models_list_shows_the_state_of_a_model(
    service: FakeLambda, capsys: pytest.CaptureFixture[str], of: dict[str, Any], cells: list[str]
) -> None:
    service.answers += [listed(**of)]
    assert main(["models", "list", *ENV]) == 0
    heads, line, *failures = capsys.readouterr().out.splitlines()
    assert heads.split() == ["model", "state", "version", "engine", "uri"]
    uri = "-" if of.get("wanted", SETTINGS) is None else "s3://models/llama"
    assert re.split(r"\s{2,}", line) == ["llama", *cells, uri]
    failed = [worker_id for worker_id, each in of.items() if each == ("failed", 7)]
    assert failures == [f"{each}: llama (version 7) failed: no memory" for each in failed]


def test_models_list_shows_the_url_of_an_upstream(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers += [listed(wanted={"engine": "openai", "upstream_url": "http://10.0.0.1/v1"})]
    assert main(["models", "list", *ENV]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-2:] == ["openai", "http://10.0.0.1/v1"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4096", 4096),
        ("0.5", 0.5),
        ("true", True),
        ('{"pirate": "s3://models/pirate"}', {"pirate": "s3://models/pirate"}),
        ('"8"', "8"),
        ("fp8", "fp8"),
        ("", ""),
        ("a=b", "a=b"),
        ("NaN", "NaN"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
    ],
)
def test_setting_is_json_or_else_a_string(text: str, value: object) -> None:
    name, parsed = setting(f"name={text}")
    assert (name, type(parsed), parsed) == ("name", type(value), value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "llama"),
        ("load", "--engine", "vllm"),
        ("load", "llama", "--engine", "vllm", "--adapter-of", "base"),
        (*LOAD, "--set", "max_model_len"),
        (*LOAD, "--set", "=1"),
        (*LOAD, "--timeout", "-1"),
        (*LOAD, "--timeout", "nan"),
        ("unload", "llama", "--engine", "vllm"),
    ],
)
def test_models_command_refuses_wrong_arguments(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["models", *arguments])
    assert "error: " in capsys.readouterr().err


def test_models_command_refuses_a_setting_given_twice(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *LOAD, "--set", "engine=echo"]) == 2
    assert capsys.readouterr().err == "axon: engine is given twice\n"
    assert service.asked == []
