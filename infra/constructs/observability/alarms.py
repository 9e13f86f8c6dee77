"""Alarms of a stack: each one notifies the alarm topic and says what to do first."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.settings.environment import EnvironmentSettings

MINUTE = Duration.minutes(1)
"""The period in which AWS reports most metrics."""

AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
AT_MOST = cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD


class Alarms(Construct):
    """Creates alarms ``axon-{environment}-{id}``, which notify `topic` when they start and end."""

    def __init__(
        self, scope: Construct, id: str, *, settings: EnvironmentSettings, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, id)
        self._prefix = f"axon-{settings.name}"
        self._action = actions.SnsAction(topic)

    def on(
        self,
        metric: cloudwatch.IMetric,
        *,
        id: str,
        threshold: float,
        description: str,
        comparison: cloudwatch.ComparisonOperator = AT_LEAST,
        periods: int = 1,
        breaching: int | None = None,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        """Add an alarm on `metric` beyond `threshold` in `breaching` (all) of `periods` periods.

        Parameters
        ----------
        metric : cloudwatch.IMetric
            Its period is the length of one of `periods`.
        id : str
            Words with hyphens, unique in the environment; the end of the alarm's name.
        threshold : float
            In the unit of the metric.
        description : str
            Meaning and first remedy: the text of the notification.
        comparison : cloudwatch.ComparisonOperator
            How values compare to `threshold` in order to count.
        periods : int
            Number of latest periods that are looked at.
        breaching : int | None
            How many of these must be beyond the threshold; None for all.
        missing : cloudwatch.TreatMissingData
            How missing data counts. By default as good: a service at zero tasks reports nothing.
        """
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=metric,
            alarm_name=f"{self._prefix}-{id}",
            alarm_description=description,
            comparison_operator=comparison,
            threshold=threshold,
            evaluation_periods=periods,
            datapoints_to_alarm=breaching,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        return alarm
