"""The number of workers over time: the scaling expressions of the templates, evaluated."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axon.catalog import JOBS
from infra.settings.environment import load
from tests.infra.conftest import Templates
from tests.infra.support.autoscaling_harness import Policies, Simulation
from tests.infra.support.metric_math import Point, Series, evaluate
from tests.infra.support.templates import text

TARGET = 5


@pytest.fixture(params=["dev", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policies(environment: str, dev: Templates, prod: Templates) -> Policies:
    return Policies.of({"dev": dev, "prod": prod}[environment]["inference"])


@pytest.fixture
def large(prod: Templates) -> Policies:
    """Return the policies of an environment that may have 8 workers."""
    return Policies.of(prod["inference"])


def backlog(policies: Policies, visible: Series, in_flight: Series, running: Series) -> list[Point]:
    metrics = {"visible": visible, "in_flight": in_flight, "running": running}
    return evaluate(policies.backlog_metrics, metrics)


def unserved(
    policies: Policies, visible: Series, in_flight: Series, running: Series
) -> list[Point]:
    metrics = {"visible": visible, "in_flight": in_flight, "running": running}
    return evaluate(policies.first_task_alarm["Metrics"], metrics)


class TestScalingExpressions:
    @pytest.mark.parametrize("messages", range(7))
    def test_backlog_without_a_task_counts_as_for_one(
        self, policies: Policies, messages: int
    ) -> None:
        for running in ([0], [None]):
            assert backlog(policies, [messages], [0], running) == [messages]
            assert unserved(policies, [messages], [0], running) == [messages]

    def test_backlog_is_shared_by_the_running_tasks(self, policies: Policies) -> None:
        assert backlog(policies, [30], [10], [8]) == [5]
        assert backlog(policies, [0], [1], [4]) == [0.25]
        assert unserved(policies, [30], [10], [8]) == [0]

    def test_backlog_without_messages_is_zero(self, policies: Policies) -> None:
        assert backlog(policies, [0, 0, 0], [0, 0, 0], [0, 3, None]) == [0, 0, 0]
        assert unserved(policies, [0, 0, 0], [0, 0, 0], [0, 3, None]) == [0, 0, 0]

    def test_backlog_repeats_the_last_value_of_a_late_metric(self, policies: Policies) -> None:
        assert backlog(policies, [8, None], [2, None], [2, None]) == [5, 5]
        assert backlog(policies, [8, 3], [2, 2], [2, None]) == [5, 2.5]
        assert backlog(policies, [8, None], [2, 4], [2, 2]) == [5, 6]

    def test_backlog_of_missing_queue_metrics_is_not_zero(self, policies: Policies) -> None:
        assert backlog(policies, [None, None], [None, None], [3, 3]) == [None, None]

    def test_backlog_without_task_metrics_counts_no_tasks(self, policies: Policies) -> None:
        assert unserved(policies, [2, 2, 2], [0, 0, 0], [None, None, 1]) == [2, 2, 0]

    def test_both_policies_use_the_same_expressions(self, policies: Policies) -> None:
        assert {m["Id"]: m.get("Expression") for m in policies.backlog_metrics}.items() & {
            m["Id"]: m.get("Expression") for m in policies.first_task_alarm["Metrics"]
        }.items() >= {
            ("visible", None),
            ("in_flight", None),
            ("running", None),
            ("messages", "FILL(visible, REPEAT) + FILL(in_flight, REPEAT)"),
            ("tasks", "FILL(FILL(running, REPEAT), 0)"),
        }
        stats = [m["MetricStat"] for m in policies.first_task_alarm["Metrics"] if "MetricStat" in m]
        assert [stat["Period"] for stat in stats] == [60, 60, 60]

    def test_metrics_are_those_of_the_queue_and_the_service(
        self, environment: str, policies: Policies
    ) -> None:
        stats = {
            m["Id"]: m["MetricStat"]["Metric"]
            for m in policies.backlog_metrics
            if "MetricStat" in m
        }
        assert {name: (m["Namespace"], m["MetricName"]) for name, m in stats.items()} == {
            "visible": ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
            "in_flight": ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"),
            "running": ("ECS/ContainerInsights", "RunningTaskCount"),
        }
        assert stats["running"]["Dimensions"] == [
            {"Name": "ClusterName", "Value": f"axon-{environment}-inference"},
            {"Name": "ServiceName", "Value": f"axon-{environment}-worker"},
        ]
        for name in ("visible", "in_flight"):
            (dimension,) = stats[name]["Dimensions"]
            assert dimension["Name"] == "QueueName"
            assert "JobsQueue" in text(dimension["Value"])


class TestScalingPolicies:
    def test_service_scales_between_its_bounds(self, environment: str, policies: Policies) -> None:
        inference = load(environment).inference
        assert policies.target["ResourceId"] == (
            f"service/axon-{environment}-inference/axon-{environment}-worker"
        )
        assert policies.target["ScalableDimension"] == "ecs:service:DesiredCount"
        assert policies.target["MinCapacity"] == inference.min_tasks == 0
        assert policies.target["MaxCapacity"] == inference.max_tasks
        assert policies.tracking["TargetValue"] == inference.backlog_per_task == TARGET

    def test_scale_out_is_quicker_than_scale_in(self, policies: Policies) -> None:
        assert policies.tracking["ScaleInCooldown"] > policies.tracking["ScaleOutCooldown"]
        assert "DisableScaleIn" not in policies.tracking

    def test_first_task_alarm_adds_one_task(self, policies: Policies) -> None:
        assert policies.step["AdjustmentType"] == "ChangeInCapacity"
        assert policies.step["StepAdjustments"] == [
            {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
        ]

    def test_first_task_alarm_leaves_the_submitter_time_to_act_first(
        self, policies: Policies
    ) -> None:
        waits_s = 60 * policies.first_task_alarm["EvaluationPeriods"]
        assert JOBS.visibility_s < waits_s < 900


class TestBacklogScaling:
    def test_stops_an_idle_worker_after_a_quarter_of_an_hour(self, policies: Policies) -> None:
        simulation = Simulation(policies, desired=1)
        simulation.run(14)
        assert simulation.desired == 1
        simulation.run(6)
        assert simulation.desired == 0
        simulation.run(120)
        assert set(simulation.history[20:]) == {0}

    def test_starts_5_workers_for_23_messages(self, large: Policies) -> None:
        simulation = Simulation(large, desired=1, visible=15, in_flight=8)
        simulation.run(120)
        assert simulation.desired == simulation.running == 5
        assert max(simulation.history) == 5

    @pytest.mark.parametrize("late", [0, 1, 3])
    def test_does_not_order_workers_that_start_slowly_twice(
        self, large: Policies, late: int
    ) -> None:
        start = large.first_task_alarm["EvaluationPeriods"] - 4
        simulation = Simulation(large, desired=1, visible=23, start_minutes=start, late=late)
        simulation.run(90)
        assert simulation.desired == 5
        assert max(simulation.history) == 5

    def test_never_exceeds_the_maximum_of_workers(
        self, environment: str, policies: Policies
    ) -> None:
        simulation = Simulation(policies, desired=1, visible=1000)
        simulation.run(200)
        assert max(simulation.history) == load(environment).inference.max_tasks

    def test_keeps_one_worker_for_one_job_in_flight(self, policies: Policies) -> None:
        simulation = Simulation(policies, desired=2, in_flight=1)
        simulation.run(300)
        assert set(simulation.history[60:]) == {1}
        assert 0 not in simulation.history

    def test_scales_to_the_maximum_and_back_to_none(self, large: Policies) -> None:
        simulation = Simulation(large, desired=1, visible=23)
        simulation.run(30)
        assert simulation.desired == 5
        simulation.visible, simulation.in_flight = 0, 6
        simulation.run(60)
        assert simulation.desired == 2
        simulation.in_flight = 0
        simulation.run(60)
        assert simulation.desired == 0

    @pytest.mark.parametrize("late", [0, 1, 3])
    def test_adds_no_worker_to_that_of_the_submitter_for_one_message(
        self, policies: Policies, late: int
    ) -> None:
        start = policies.first_task_alarm["EvaluationPeriods"] - 4
        simulation = Simulation(policies, desired=1, visible=1, start_minutes=start, late=late)
        simulation.run(30)
        assert set(simulation.history) == {1}

    def test_starts_one_worker_by_the_alarm_if_the_submitter_did_not(
        self, policies: Policies
    ) -> None:
        periods = policies.first_task_alarm["EvaluationPeriods"]
        simulation = Simulation(policies, visible=1, start_minutes=periods - 4, late=3)
        simulation.run(periods - 1)
        assert simulation.desired == 0
        simulation.run(80)
        assert simulation.desired == simulation.running == 1
        assert max(simulation.history) == 1

    @pytest.mark.parametrize("late", [0, 1, 3])
    def test_is_not_changed_by_late_metrics(self, large: Policies, late: int) -> None:
        simulation = Simulation(large, desired=3, visible=8, in_flight=7, late=late)
        simulation._ages = [60, 60, 60]
        simulation.run(90)
        assert set(simulation.history) == {3}

    def test_stops_no_worker_for_a_gap_in_the_queues_metrics(self, large: Policies) -> None:
        simulation = Simulation(large, desired=3, visible=8, in_flight=7)
        simulation.run(40)
        simulation.sqs_reports = False
        simulation.run(90)
        assert simulation.desired == 3

    @given(messages=st.integers(1, 500), running=st.integers(1, 200))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_desired_count_of_tracking_depends_on_the_messages_alone(
        self, large: Policies, messages: int, running: int
    ) -> None:
        (value,) = backlog(large, [messages], [0], [running])
        assert value is not None
        wanted = math.ceil(round(running * value / TARGET, 6))
        assert wanted == max(1, math.ceil(messages / TARGET))
