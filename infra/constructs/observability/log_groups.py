"""Log groups: named after their writers, with the retention of the environment."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings.environment import EnvironmentSettings

RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
}


def log_group(
    scope: Construct, id: str, *, settings: EnvironmentSettings, name: str
) -> logs.LogGroup:
    """Create the log group ``/axon/{environment}/{name}``, which is removed with its stack.

    A name that starts with a slash is taken as it is: some services prescribe their groups' names.
    """
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name if name.startswith("/") else f"/axon/{settings.name}/{name}",
        retention=RETENTION[settings.observability.log_retention_days],
        removal_policy=RemovalPolicy.DESTROY,
    )
