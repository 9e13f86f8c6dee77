"""The functions that CDK generates for custom resources: their permissions and their logs."""

from typing import cast

from aws_cdk import CfnResource, CustomResourceProviderBase, Stack
from constructs import Construct

from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

TRIGGER = "AWSCDK.TriggerCustomResourceProviderCustomResourceProvider"
EMPTY_BUCKET = "Custom::S3AutoDeleteObjectsCustomResourceProvider"


def confine_provider_logs(
    scope: Construct, *, settings: EnvironmentSettings, provider: str, logs: str
) -> None:
    """Make the stack's function `provider` log to a group of the stack, and only there.

    By default it would log to a group that nothing ever deletes.
    """
    found = Stack.of(scope).node.find_child(provider)
    group = log_group(scope, "ProviderLogs", settings=settings, name=logs)
    function = cast("CfnResource", found.node.find_child("Handler"))
    function.add_property_override("LoggingConfig", {"LogGroup": group.log_group_name})
    # AWS's managed policy allows to create and write every log group: a late log record would
    # recreate the group that the stack has just deleted.
    role = cast("CfnResource", found.node.find_child("Role"))
    role.add_property_deletion_override("ManagedPolicyArns")
    cast("CustomResourceProviderBase", found).add_to_role_policy(
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": group.log_group_arn,
        }
    )
    acknowledge(function, "CKV_AWS_116", "A deployment invokes it, and fails where it fails.")
    acknowledge(function, "CKV_AWS_117", "It calls AWS's APIs, and nothing within the VPC.")
