"""Findings of cdk-nag and checkov that are accepted on purpose, each with its reason."""

from typing import Any, cast

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct

PACK = "AwsSolutions"
CHECKOV = "CKV_"


def acknowledge(scope: IConstruct, id: str, reason: str) -> None:
    """Accept a finding about `scope`: for cdk-nag with all it contains, for checkov it alone.

    `id` is the rule, with the detail if the report shows one: ``AwsSolutions-SQS3``,
    ``AwsSolutions-IAM5[Resource::*]``, ``CKV_AWS_117``. Rules of other plugins carry their own
    ``Plugin::`` prefix.
    """
    if id.startswith(CHECKOV):
        _skip(_resource(scope), id, reason)
        return
    rule = f"{PACK}::{id}" if id.startswith(f"{PACK}-") else id
    Validations.of(scope).acknowledge(Acknowledgment(id=rule, reason=reason))


def _resource(scope: IConstruct) -> CfnResource:
    own = scope if CfnResource.is_cfn_resource(scope) else scope.node.default_child
    return cast("CfnResource", own)


def _skip(resource: CfnResource, id: str, reason: str) -> None:
    """Write the exception into the template, the only thing that checkov reads."""
    earlier: dict[str, Any] = resource.get_metadata("checkov") or {}
    skips = [*earlier.get("skip", []), {"id": id, "comment": reason}]
    resource.add_metadata("checkov", {"skip": skips})
