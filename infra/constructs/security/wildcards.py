"""Accepted permissions on everything below an ARN, written as in cdk-nag's report."""

from aws_cdk import Stack
from constructs import IConstruct

from infra.constructs.security.findings import acknowledge


def acknowledge_below(scope: IConstruct, arn: str, reason: str) -> None:
    """Accept that policies of `scope` allow actions on `arn`, which ends with a wildcard."""
    described = _describe(Stack.of(scope).resolve(arn))
    acknowledge(scope, f"AwsSolutions-IAM5[Resource::{described}]", reason)


def _describe(value: object) -> str:
    match value:
        case {"Fn::Join": [str(delimiter), list(parts)]}:
            return delimiter.join(map(_describe, parts))
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::ImportValue": name}:
            return _describe(name)
        case _:
            return str(value)
