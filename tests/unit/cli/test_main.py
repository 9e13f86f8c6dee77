import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main

HEAVY = ("openai", "boto3", "redis", "psycopg", "pydantic", "psutil", "asyncio")


def test_help_imports_no_heavy_package() -> None:
    script = f"""
import sys
from cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
sys.stderr.write(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stderr == ""
    for command in ("dev", "chat", "status", "keys", "models", "dlq", "cost"):
        assert command in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("chat",),
        ("keys", "list"),
        ("keys", "create", "me"),
        ("keys", "revoke", "x"),
        ("models", "list"),
        ("models", "load", "x", "--engine", "echo"),
        ("models", "unload", "x"),
        ("dlq", "list"),
        ("dlq", "show", "6e1f1a52"),
        ("dlq", "redrive", "--all"),
        ("dlq", "purge", "6e1f1a52"),
    ],
)
def test_command_says_that_no_axon_runs(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    message = f"axon: no Axon is running on {tmp_path}; start one with `axon dev`\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    "arguments",
    [
        ["dev", "--workers", "0"],
        ["dev", "--port", "70000"],
        ["dev", "--engine", "x"],
        ["dlq", "list", "--limit", "0"],
        ["dlq", "list", "--queue", "x"],
        ["dlq", "redrive", "6e1f1a52", "--all"],
    ],
)
def test_command_refuses_wrong_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["redrive", "purge"])
def test_dlq_action_needs_an_id_or_all(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["dlq", action])
    assert "one of the arguments ID --all is required" in capsys.readouterr().err
