"""Runs commands that fail, and data folders that look used."""

import json
import os
from pathlib import Path

import pytest

from cli.main import main


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `axon`; return the exit code and its one line about what went wrong."""
    code = main(arguments)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("axon: ")
    return code, line.removeprefix("axon: ").strip()


def mark_as_running(data: Path, **changes: object) -> None:
    """Make the data folder look as if an Axon ran on it; nothing listens at its addresses."""
    (data / "run").mkdir()
    content = {
        **dict.fromkeys(("base_url", "api_key", "engine", "model", "valkey_url"), ""),
        **dict.fromkeys(("aws_endpoint", "lambda_endpoint"), "http://127.0.0.1:9"),
        "queues": {},
    }
    (data / "run" / "endpoints.json").write_text(json.dumps(content | changes))
    (data / "run" / "supervisor.pid").write_text(str(os.getpid()))
