"""The basic role of a function: its network interfaces and its own log group."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.security.findings import acknowledge

INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


def function_role(
    scope: Construct, id: str, *, function_name: str, log_group: logs.LogGroup
) -> iam.Role:
    """Create the role. AWS's managed policies would let it write to every log group."""
    role = iam.Role(
        scope,
        id,
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"{function_name}: what it runs as",
    )
    log_group.grant_write(role)
    role.add_to_policy(iam.PolicyStatement(actions=INTERFACES, resources=["*"]))
    role.add_to_policy(_not_from_code(Stack.of(scope), function_name))
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::*]",
        "Lambda's network interfaces have no ARN beforehand, X-Ray's API has no resources; what "
        "the function's own code asks of network interfaces is denied.",
    )
    acknowledge(
        role.node.find_child("DefaultPolicy"),
        "CKV_AWS_111",
        "Lambda's network interfaces have no ARN beforehand, X-Ray's API has no resources.",
    )
    return role


def _not_from_code(stack: Stack, function_name: str) -> iam.PolicyStatement:
    """Deny network interfaces to the function's code; the Lambda service uses the same role."""
    arn = stack.format_arn(service="lambda", resource=f"function:{function_name}")
    return iam.PolicyStatement(
        effect=iam.Effect.DENY,
        actions=INTERFACES,
        resources=["*"],
        conditions={"ArnEquals": {"lambda:SourceFunctionArn": arn}},
    )
