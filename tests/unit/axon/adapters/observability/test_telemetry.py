"""Counts and traces of a function, as its log and its daemon get them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axon.adapters.observability.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[5]


def counts(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the metrics that CloudWatch reads from the log: names, values and dimensions."""
    found = []
    for line in capsys.readouterr().out.splitlines():
        entry = json.loads(line)
        (directive,) = entry["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Axon"
        (names,) = directive["Dimensions"]
        found.append(
            {m["Name"]: sum(entry[m["Name"]]) for m in directive["Metrics"]}
            | {name: entry[name] for name in names}
        )
    return found


def test_telemetry_logs_each_count_as_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    respond, other = Telemetry(service="respond"), Telemetry(service="other")
    respond.count("refused", code="model_not_found")
    respond.count("accepted")
    other.count("written", 7)
    assert counts(capsys) == [
        {"refused": 1, "code": "model_not_found", "service": "respond"},
        {"accepted": 1, "service": "respond"},
        {"written": 7, "service": "other"},
    ]


def test_telemetry_counts_may_be_disabled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    telemetry = Telemetry(service="respond")
    for _ in range(200):
        telemetry.count("accepted")
    assert capsys.readouterr().out == ""


SCRIPT = """
import sys
from axon.adapters.observability.telemetry import Telemetry

telemetry = Telemetry(service="respond")

@telemetry.traced
def handler(event, context):
    telemetry.annotate(response_id="resp_1")
    return {"statusCode": 200}

assert handler({}, None) == {"statusCode": 200}
print("aws_xray_sdk" in sys.modules)
"""
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def run(**variables: str) -> str:
    """Run the script as Lambda would."""
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": "/var/task"} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert answer.stderr == ""
    return answer.stdout


def test_telemetry_traces_the_handler_with_a_daemon() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        address = f"127.0.0.1:{daemon.getsockname()[1]}"
        run(AWS_XRAY_DAEMON_ADDRESS=address, _X_AMZN_TRACE_ID=TRACE)
        _, _, document = daemon.recvfrom(65536)[0].partition(b"\n")
    part = json.loads(document)
    assert part["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert part["parent_id"] == "53995c3f42cd8ad8"
    assert part["name"] == "## handler"
    assert part["annotations"]["response_id"] == "resp_1"
    assert part["annotations"]["Service"] == "respond"
    assert "metadata" not in part


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:1", "POWERTOOLS_TRACE_DISABLED": "true"},
    ],
)
def test_telemetry_imports_no_tracer_without_a_daemon(variables: dict[str, str]) -> None:
    assert run(**variables) == "False\n"
