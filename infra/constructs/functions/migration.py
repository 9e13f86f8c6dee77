"""Runs the database migrations during a deployment, before anything that relies on them."""

from collections.abc import Sequence

from aws_cdk import Duration, triggers
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions.custom_resources import TRIGGER, confine_provider_logs
from infra.settings.environment import EnvironmentSettings

RECOGNIZE_LAYERS = "@aws-cdk/aws-lambda:recognizeLayerVersion"
"""CDK's flag, to be set on the stack: a new layer makes a new version of a function.

Without it a new migration, which comes in the library's layer, would not be run.
"""


class Migration(Construct):
    """Invokes `migrate` when it is new or has changed (the library's layer has the migrations).

    A failure ends the deployment, and CloudFormation rolls it back.

    Parameters
    ----------
    migrate : lambda_.Function
        The function that runs the migrations.
    timeout : Duration
        Longest wait for the function to answer.
    before : Sequence[Construct]
        Created or updated only after the migrations.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        migrate: lambda_.Function,
        timeout: Duration,
        before: Sequence[Construct],
    ) -> None:
        super().__init__(scope, id)
        triggers.Trigger(
            self, "Trigger", handler=migrate, timeout=timeout, execute_before=[*before]
        )
        confine_provider_logs(
            self, settings=settings, provider=TRIGGER, logs="functions/migrate-trigger"
        )
