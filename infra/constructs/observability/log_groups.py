"""Log groups: named after what writes to them, kept as long as the environment says."""

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
    """Make the log group ``/axon/{environment}/{name}``; it goes when its stack goes.

    A name that starts with a slash stands as it is: some services choose their groups' names.
    """
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name if name.startswith("/") else f"/axon/{settings.name}/{name}",
        retention=RETENTION[settings.observability.log_retention_days],
        removal_policy=RemovalPolicy.DESTROY,
    )
