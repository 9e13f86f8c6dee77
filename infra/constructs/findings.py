"""Rules of cdk-nag that a construct breaks on purpose, each with its reason beside it."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

PACK = "AwsSolutions"


def acknowledge(scope: IConstruct, id: str, reason: str) -> None:
    """Accept a finding about `scope` and all within it.

    `id` is the rule, with the detail where the report shows one: ``AwsSolutions-SQS3``,
    ``AwsSolutions-IAM5[Resource::*]``. Rules of other plugins carry their own ``Plugin::`` prefix.
    """
    rule = f"{PACK}::{id}" if id.startswith(f"{PACK}-") else id
    Validations.of(scope).acknowledge(Acknowledgment(id=rule, reason=reason))
