"""Runs the migrations in the middle of a deployment, before anything that relies on them."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import CfnResource, Duration, Stack, triggers
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IConstruct

from infra.constructs.findings import acknowledge
from infra.constructs.log_groups import log_group
from infra.settings import EnvironmentSettings

RECOGNIZE_LAYERS = "@aws-cdk/aws-lambda:recognizeLayerVersion"
"""CDK's flag, to be set on the stack: a new layer makes a new version of a function.

Without it a new migration, which comes in the library's layer, would not be run.
"""

PROVIDER = "AWSCDK.TriggerCustomResourceProviderCustomResourceProvider"


class Migration(Construct):
    """Invokes `migrate` when it is new or has changed (the library's layer has the migrations).

    A failure ends the deployment, and CloudFormation takes back what it did.

    Parameters
    ----------
    before : what is made or updated only after the migrations.
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
        self._tidy(Stack.of(self).node.find_child(PROVIDER), settings)

    def _tidy(self, provider: IConstruct, settings: EnvironmentSettings) -> None:
        """Give CDK's own function behind the trigger a log group that ends."""
        logs = log_group(self, "Logs", settings=settings, name="functions/migrate-trigger")
        function = cast("CfnResource", provider.node.find_child("Handler"))
        function.add_property_override("LoggingConfig", {"LogGroup": logs.log_group_name})
        acknowledge(
            provider,
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
            "CDK's trigger makes its own role; it may write logs and invoke `migrate`.",
        )
