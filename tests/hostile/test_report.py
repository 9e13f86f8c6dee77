"""The verdict on a run, from samples and figures written by hand."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from tests.hostile.bystander import Asked
from tests.hostile.memory import Trend, trends
from tests.hostile.messages import LARGE, frames, schemas, warm_up
from tests.hostile.report import Report

GOOD = Report(
    seconds=90.0,
    attacks={"floods: response.completed": 3, "warm-ups: tenant_memory_exceeded": 2},
    asked=Asked(seconds=[1.0, 2.0], silences=[0.5, 0.7], refusals=Counter(server_overloaded=1)),
    trends=[Trend(name="relay-0", before=50.0, after=51.0, most=52.0)],
    died=(),
    memory_mb=64,
)


def test_report_keeps_its_promises_when_all_is_answered() -> None:
    assert GOOD.broken == []
    assert "| without a right answer           | 0 " in GOOD.render()
    assert "1 server_overloaded" in GOOD.render()


@pytest.mark.parametrize(
    "bad",
    [
        {"attacks": {"floods: internal_error": 1}},
        {"attacks": {"floods: gateway_error": 1}},
        {"asked": Asked()},
        {"asked": Asked(seconds=[1.0], wrong=["no answer within 60 s"])},
        {"asked": Asked(seconds=[1.0], refusals=Counter(internal_error=1))},
        {"died": ("relay-0",)},
        {"trends": [Trend(name="relay-0", before=50.0, after=70.0, most=70.0)]},
    ],
)
def test_report_names_what_was_broken(bad: dict[str, object]) -> None:
    assert len(replace(GOOD, **bad).broken) == 1  # type: ignore[arg-type]


def test_trends_leave_out_the_first_third() -> None:
    samples = [{"relay-0": float(min(second, 30))} for second in range(90)]
    (trend,) = trends(samples)
    assert (trend.before, trend.after, trend.most) == (30.0, 30.0, 30.0)
    assert trend.flat
    (growing,) = trends([{"relay-0": float(second)} for second in range(90)])
    assert not growing.flat


def test_messages_fit_into_the_gateways_frames() -> None:
    for message in (warm_up(store=True), *schemas()):
        assert len(message) < 128 * 1024
        assert max(map(len, frames(message))) < 32 * 1024
        assert "".join(frames(message)) == message
    assert len(json.loads(warm_up(store=False))["input"]) > LARGE
