"""The functions that CDK itself puts behind custom resources: what they may do, and their logs."""

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
    """Let the stack's function `provider` log to a group that ends with the stack, and only there.

    Left alone it would log to a group that nothing ever deletes.
    """
    found = Stack.of(scope).node.find_child(provider)
    group = log_group(scope, "ProviderLogs", settings=settings, name=logs)
    function = cast("CfnResource", found.node.find_child("Handler"))
    function.add_property_override("LoggingConfig", {"LogGroup": group.log_group_name})
    # AWS's policy allows every log group, and making them: what is logged late would bring back
    # the group that the stack has just deleted.
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
