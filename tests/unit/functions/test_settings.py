"""A handler whose environment is incomplete ends at its import, naming what is missing."""

import os
import runpy
from pathlib import Path

import pytest

from axon.exceptions import SettingsError

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("authorizer", ["VALKEY_URL", "POSTGRES_DSN"]),
        ("connect", ["VALKEY_URL"]),
        ("disconnect", ["VALKEY_URL"]),
        ("respond", ["VALKEY_URL", "POSTGRES_DSN", "JOBS_QUEUE_URL", "HISTORY_QUEUE_URL"]),
        ("write_history", ["VALKEY_URL", "POSTGRES_DSN"]),
        ("expire", ["POSTGRES_DSN"]),
        ("dead_letter", ["VALKEY_URL", "HISTORY_QUEUE_URL", "PARKED_QUEUE_URL"]),
        ("migrate", ["POSTGRES_DSN"]),
        ("keys", ["VALKEY_URL", "POSTGRES_DSN"]),
        ("models", ["VALKEY_URL", "POSTGRES_DSN"]),
    ],
)
def test_function_settings_name_what_is_missing(
    name: str, variables: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("AXON_")]:
        monkeypatch.delenv(variable)
    with pytest.raises(SettingsError) as caught:
        runpy.run_path(str(FUNCTIONS / name / "handler.py"))
    for variable in variables:
        assert f"AXON_{variable}" in str(caught.value)


def test_function_settings_of_every_function_are_tested() -> None:
    assert {path.parent.name for path in FUNCTIONS.glob("*/handler.py")} == {
        "authorizer",
        "connect",
        "disconnect",
        "respond",
        "write_history",
        "expire",
        "dead_letter",
        "migrate",
        "keys",
        "models",
    }
