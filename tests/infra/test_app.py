"""The entry point of ``cdk``: its failures are one line each."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

import infra
from infra import application
from infra.constructs.functions.wheels import WheelsError
from infra.settings import environment
from infra.settings.environment import EnvironmentSettingsError

APP = Path(infra.__file__).parents[1] / "app.py"


def failure() -> object:
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(str(APP), run_name="__main__")
    return raised.value.code


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_app_reports_invalid_settings_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    error = EnvironmentSettingsError("dev.toml: size: Extra inputs are not permitted")
    monkeypatch.setattr(environment, "load", failing(error))
    assert failure() == f"axon: {error}"


def test_app_reports_missing_wheels_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    error = WheelsError("uv is missing: run `make setup`")
    monkeypatch.setattr(application, "build", failing(error))
    assert failure() == f"axon: {error}"
