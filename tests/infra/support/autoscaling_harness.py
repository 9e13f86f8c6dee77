"""Application Auto Scaling on a service of workers, by a template's own policies.

Time passes in minutes. As documented by AWS: a target tracking policy scales out after 3 minutes
above its target and in after 15 minutes below 90 % of it, to ceil(capacity x metric / target),
where the capacity is the desired count; a step policy acts as long as its alarm lasts. Cooldowns
bound both, and so do min and max.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aws_cdk.assertions import Template

from tests.infra.support.metric_math import Point, evaluate
from tests.infra.support.templates import Properties, resources

OUT_POINTS, IN_POINTS = 3, 15
WINDOW = 30
"""Minutes of metrics that an alarm sees."""


@dataclass(frozen=True)
class Policies:
    """The scaling policies and alarms of a template."""

    target: Properties
    tracking: Properties
    step: Properties
    first_task_alarm: Properties

    @classmethod
    def of(cls, template: Template) -> "Policies":
        (target,) = resources(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
        policies = resources(template, "AWS::ApplicationAutoScaling::ScalingPolicy")
        tracking = next(p for p in policies.values() if p["PolicyType"] == "TargetTrackingScaling")
        name, step = next((n, p) for n, p in policies.items() if p["PolicyType"] == "StepScaling")
        alarm = next(
            alarm
            for alarm in resources(template, "AWS::CloudWatch::Alarm").values()
            if alarm["AlarmActions"] == [{"Ref": name}]
        )
        return cls(
            target=target,
            tracking=tracking["TargetTrackingScalingPolicyConfiguration"],
            step=step["StepScalingPolicyConfiguration"],
            first_task_alarm=alarm,
        )

    @property
    def backlog_metrics(self) -> list[dict[str, Any]]:
        """The metrics and expressions that target tracking follows."""
        metrics: list[dict[str, Any]] = self.tracking["CustomizedMetricSpecification"]["Metrics"]
        return metrics


@dataclass
class Simulation:
    """A service whose tasks take `start_minutes` to run, and whose metrics come `late`."""

    policies: Policies
    start_minutes: int = 2
    late: int = 1
    desired: int = 0
    visible: int = 0
    in_flight: int = 0
    sqs_reports: bool = True
    history: list[int] = field(default_factory=list)
    _ages: list[int] = field(default_factory=list)
    _metrics: deque[dict[str, Point]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _since: dict[str, int] = field(default_factory=lambda: {"out": 9999, "in": 9999, "step": 9999})

    @property
    def running(self) -> int:
        """Tasks that run."""
        return sum(age >= self.start_minutes for age in self._ages)

    def run(self, minutes: int) -> None:
        """Simulate `minutes` with the queue as it is set."""
        for _ in range(minutes):
            self._pass_a_minute()
            self._track()
            self._start_first_task()
            self.history.append(self.desired)

    def _pass_a_minute(self) -> None:
        self._ages = sorted((age + 1 for age in self._ages), reverse=True)[: self.desired]
        self._ages += [0] * (self.desired - len(self._ages))
        self._since = {what: minutes + 1 for what, minutes in self._since.items()}
        sqs = self.sqs_reports
        self._metrics.append(
            {
                "visible": self.visible if sqs else None,
                "in_flight": self.in_flight if sqs else None,
                # Container Insights says nothing of a service without running tasks.
                "running": self.running or None,
            }
        )

    def _seen(self, metrics: list[dict[str, Any]]) -> list[Point]:
        points = list(self._metrics)
        series = {
            name: [
                point[name] if age >= self.late else None
                for age, point in zip(range(len(points) - 1, -1, -1), points, strict=True)
            ]
            for name in ("visible", "in_flight", "running")
        }
        return evaluate(metrics, series)

    def _track(self) -> None:
        tracking = self.policies.tracking
        target = tracking["TargetValue"]
        backlog = self._seen(self.policies.backlog_metrics)
        if _all(backlog, OUT_POINTS, lambda point: point > target):
            wanted = self._wanted(backlog, target)
            if wanted > self.desired and self._cooled("out", tracking["ScaleOutCooldown"]):
                self._set(wanted, "out")
        elif _all(backlog, IN_POINTS, lambda point: point < 0.9 * target):
            wanted = self._wanted(backlog, target)
            if wanted < self.desired and self._cooled("in", tracking["ScaleInCooldown"]):
                self._set(wanted, "in")

    def _wanted(self, backlog: list[Point], target: float) -> int:
        assert backlog[-1] is not None
        return math.ceil(round(self.desired * backlog[-1] / target, 6))

    def _start_first_task(self) -> None:
        alarm, step = self.policies.first_task_alarm, self.policies.step
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        unserved = self._seen(alarm["Metrics"])
        breaching = _all(unserved, alarm["EvaluationPeriods"], lambda p: p > alarm["Threshold"])
        if breaching and self._cooled("step", step["Cooldown"]):
            (adjustment,) = step["StepAdjustments"]
            self._set(self.desired + adjustment["ScalingAdjustment"], "step")

    def _cooled(self, what: str, seconds: int) -> bool:
        return self._since[what] * 60 >= seconds

    def _set(self, wanted: int, what: str) -> None:
        target = self.policies.target
        bounded = min(max(wanted, target["MinCapacity"]), target["MaxCapacity"])
        if bounded != self.desired:
            self.desired, self._since[what] = bounded, 0


def _all(series: list[Point], last: int, holds: Any) -> bool:
    points = series[-last:]
    return len(points) == last and all(point is not None and holds(point) for point in points)
