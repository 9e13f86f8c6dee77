"""The construct that makes alarms, and what all alarms of an environment have in common."""

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Match, Template

from infra.constructs.observability.alarms import AT_MOST, Alarms
from infra.settings.environment import EnvironmentSettings
from tests.infra.conftest import Templates
from tests.infra.support.templates import Properties, resources, text

METRIC = cloudwatch.Metric(
    namespace="AWS/SQS", metric_name="Age", period=Duration.minutes(1), statistic="Maximum"
)


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "stack")


@pytest.fixture
def alarms(stack: Stack) -> Alarms:
    settings = EnvironmentSettings(name="test")
    return Alarms(stack, "Alarms", settings=settings, topic=sns.Topic(stack, "Topic"))


def only_alarm(stack: Stack) -> Properties:
    (properties,) = resources(Template.from_stack(stack), "AWS::CloudWatch::Alarm").values()
    return properties


def test_alarm_is_named_after_its_environment_and_notifies_the_topic(
    stack: Stack, alarms: Alarms
) -> None:
    alarms.on(METRIC, id="jobs-old", threshold=60, description="Add workers.")
    alarm = only_alarm(stack)
    topic = {"Ref": Match.any_value()}
    assert alarm["AlarmName"] == "axon-test-jobs-old"
    assert alarm["AlarmDescription"] == "Add workers."
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm", {"AlarmActions": [topic], "OKActions": [topic]}
    )


def test_alarm_by_default_ignores_missing_data_and_needs_one_period(
    stack: Stack, alarms: Alarms
) -> None:
    alarms.on(METRIC, id="jobs-old", threshold=60, description="Add workers.")
    alarm = only_alarm(stack)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["EvaluationPeriods"] == 1
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert "DatapointsToAlarm" not in alarm


def test_alarm_can_watch_a_lower_bound_for_some_periods(stack: Stack, alarms: Alarms) -> None:
    alarms.on(
        METRIC,
        id="space",
        threshold=5,
        description="Add storage.",
        comparison=AT_MOST,
        periods=5,
        breaching=3,
        missing=cloudwatch.TreatMissingData.BREACHING,
    )
    alarm = only_alarm(stack)
    assert alarm["ComparisonOperator"] == "LessThanOrEqualToThreshold"
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (5, 3)
    assert alarm["TreatMissingData"] == "breaching"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_alarms_of_all_stacks_notify_the_topic_and_say_what_to_do(
    environment: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(environment)
    alarms = [
        alarm
        for template in templates.values()
        for alarm in resources(template, "AWS::CloudWatch::Alarm").values()
        if not scales(alarm)
    ]
    names = [text(alarm["AlarmName"]) for alarm in alarms]
    assert len(names) == len(set(names)) > 0
    for alarm in alarms:
        assert text(alarm["AlarmName"]).startswith(f"axon-{environment}-")
        assert len(alarm["AlarmDescription"]) > 20
        (target,) = {text(action) for action in alarm["AlarmActions"] + alarm["OKActions"]}
        assert "AlarmTopic" in target


def scales(alarm: Properties) -> bool:
    """Return whether the alarm only adds or removes tasks, which needs no notification."""
    return all("Scal" in text(action) for action in alarm["AlarmActions"])
