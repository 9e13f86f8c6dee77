import json
import os
from pathlib import Path

import pytest

from cli.endpoints import Endpoints, read_json
from cli.errors import CommandError

CONTENT = {
    "base_url": "http://127.0.0.1:8000/v1",
    "api_key": "sk-axon-local",
    "engine": "echo",
    "model": "echo",
    "valkey_url": "redis://127.0.0.1:1/0",
    "aws_endpoint": "http://127.0.0.1:2",
    "lambda_endpoint": "http://127.0.0.1:3",
    "queues": {"jobs": "http://127.0.0.1:2/000000000000/jobs"},
}


def test_endpoints_ignore_unknown_fields(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    content = {**CONTENT, "postgres_dsn": "postgresql://"}
    (tmp_path / "run" / "endpoints.json").write_text(json.dumps(content))
    (tmp_path / "run" / "supervisor.pid").write_text(str(os.getpid()))
    endpoints = Endpoints.read(tmp_path)
    assert endpoints.base_url == CONTENT["base_url"]
    assert endpoints.queues == CONTENT["queues"]


def test_endpoints_of_a_killed_supervisor_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "endpoints.json").write_text(json.dumps(CONTENT))
    (tmp_path / "run" / "supervisor.pid").write_text("999999999")
    with pytest.raises(CommandError, match="no Axon is running"):
        Endpoints.read(tmp_path)


def test_endpoints_report_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text("{")
    with pytest.raises(CommandError, match="cannot read"):
        read_json(path)
