"""Metrics that CloudWatch reads out of a function's log."""

import json
from typing import Any

import pytest


def counted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the counts since this was last asked: name, value and dimensions of each."""
    found = []
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith('{"_aws"'):
            continue
        entry = json.loads(line)
        (directive,) = entry["_aws"]["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        (metric,) = directive["Metrics"]
        (value,) = entry[metric["Name"]]
        found.append({metric["Name"]: value} | {name: entry[name] for name in dimensions})
    return found
