"""The rules of the Prometheus workspace: they can be loaded, and watch metrics that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from front.metrics import FrontMetrics
from infra.constructs.observability.prometheus import RULES
from relay.metrics import RelayMetrics
from tests.unit.worker.settings_samples import SETTINGS
from worker.metrics import WorkerMetrics
from worker.models.metrics import ModelMetrics
from worker.pipeline.stages import Stages

SELECTOR = re.compile(r"(?P<name>\b(?:axon[\w:]*|up)\b)(?:\{(?P<labels>[^}]*)\})?")
MATCHER = re.compile(r'(?P<label>\w+)\s*(?P<operator>=~|!~|!=|=)\s*"(?P<value>[^"]*)"')


Served = dict[str, dict[str, set[str]]]
"""Metric -> label -> the values that there are before anything has happened."""


@cache
def served() -> Served:
    """Return what relays, fronts and workers serve at ``/metrics``."""
    registry = CollectorRegistry()
    FrontMetrics(registry=registry)
    RelayMetrics(registry=registry)
    metrics = WorkerMetrics(registry=registry)
    metrics.tokens("input", 0, model="m")
    Stages.of(SETTINGS, slots=1, metrics=metrics)
    ModelMetrics(registry=registry, models=list)
    found: Served = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = found.setdefault(name, {})
        for sample in family.samples:
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def rules() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors() -> Iterator[tuple[str, str]]:
    """Name and label matchers of each metric that an expression reads."""
    for rule in rules():
        for match in SELECTOR.finditer(rule["expr"]):
            yield match["name"], match["labels"] or ""


def alerts() -> list[Any]:
    return [pytest.param(rule, id=rule["alert"]) for rule in rules() if "alert" in rule]


def base(name: str) -> str:
    """Return the metric of a histogram's series."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def test_alert_rules_read_only_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    read = {base(name) for name, _ in selectors()}
    assert read <= set(served()) | recorded | {"up"}


def test_alert_rules_watch_or_record_every_metric() -> None:
    assert {base(name) for name, _ in selectors()} >= set(served())


def test_recording_rules_are_read_by_an_alert_or_a_dashboard() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert recorded - {name for name, _ in selectors()} == {
        "axon:time_to_first_token_seconds:p50_5m",
        "axon:jobs:rate_5m",
        "axon:inference_tokens:rate_5m",
        "axon:tokens_regenerated:rate_5m",
        "axon:turns_truncated:rate_5m",
        "axon:models:sum",
        "axon:relay_adopted_connections:rate_5m",
        "axon:jobs_forwarded:rate_5m",
        "axon:time_per_output_token_seconds:p50_5m",
        "axon:stage_latency_seconds:p99_5m",
        "axon:queue_wait_seconds:p99_5m",
        "axon:queue_depth:sum",
        "axon:requests_processed:rate_5m",
        "axon:requests_shed:rate_5m",
        "axon:errors:rate_5m",
        "axon:dead_peer_jobs:rate_5m",
        "axon:valkey_memory_ratio:max",
        "axon:relay_evicted_turns:rate_5m",
        "axon:front_answers:rate_5m",
        "axon:front_messages:rate_5m",
        "axon:front_requests:sum",
        "axon:front_responses:sum",
        "axon:front_sockets:sum",
    }


def test_alert_rules_use_the_label_values_of_the_services() -> None:
    matched = [
        (name, matcher["label"], matcher["value"])
        for name, labels in selectors()
        for matcher in MATCHER.finditer(labels)
    ]
    assert matched
    for name, label, value in matched:
        assert set(value.split("|")) <= served()[name][label], name


@pytest.mark.parametrize("rule", alerts())
def test_alert_rule_has_a_delay_a_severity_and_a_remedy(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "action"}


def test_alert_rules_have_unique_names() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not here")
@pytest.mark.parametrize(
    "command", [["check", "rules", str(RULES)], ["test", "rules", "alert_rules_cases.yaml"]]
)
def test_alert_rules_pass_promtool(command: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *command],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
