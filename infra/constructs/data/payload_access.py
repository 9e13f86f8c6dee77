"""Grants on the payloads bucket: each process gets what it does, on the prefixes it does it."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from axon import catalog
from axon.catalog import Resource
from infra.constructs.security.grants import Grant, Grants
from infra.constructs.security.key_use import grant_key_use
from infra.constructs.security.wildcards import acknowledge_below

RESPONSES = (catalog.STORED, catalog.UNSTORED)
ENCRYPT, DECRYPT = "kms:GenerateDataKey", "kms:Decrypt"


def payload_grants(bucket: s3.Bucket, key: kms.IKey) -> Grants:
    """Return the grants, with the name of the bucket (ADR 38)."""
    # Exported, not referred to: what cdk-nag finds about a policy then has a name beforehand.
    name = Stack.of(bucket).export_value(bucket.bucket_name)

    def granted(
        prefixes: Sequence[str], actions: Sequence[str], *, key_actions: Sequence[str] = ()
    ) -> Grant:
        def permit(grantee: iam.IGrantable) -> None:
            arn = Stack.of(bucket).format_arn(service="s3", region="", account="", resource=name)
            objects = [f"{arn}/{prefix}*" for prefix in prefixes]
            for each in objects:
                acknowledge_below(_role(grantee), each, "The names are not known before.")
            _allow(grantee, actions, objects)
            if "s3:GetObject" in actions:
                # Without it S3 answers 403 for an object that is gone, as for a wrong policy.
                _allow(grantee, ["s3:ListBucket"], [arn])
            if key_actions:
                grant_key_use(grantee, key, *key_actions, service="s3")

        return Grant(permit=permit, variables={"AXON_PAYLOAD_BUCKET": name})

    return {
        Resource.PUT_PAYLOADS: granted(RESPONSES, ["s3:PutObject"], key_actions=[ENCRYPT]),
        Resource.GET_PAYLOADS: granted(RESPONSES, ["s3:GetObject"], key_actions=[DECRYPT]),
        Resource.DELETE_PAYLOADS: granted(RESPONSES, ["s3:DeleteObject"]),
        # To put is for the URLs that the front signs: they permit what it may do itself.
        Resource.UPLOADS: granted(
            [catalog.UPLOADS],
            ["s3:GetObject", "s3:PutObject"],
            key_actions=[DECRYPT, ENCRYPT],
        ),
    }


def _allow(grantee: iam.IGrantable, actions: Sequence[str], resources: list[str]) -> None:
    iam.Grant.add_to_principal(grantee=grantee, actions=[*actions], resource_arns=resources)


def _role(grantee: iam.IGrantable) -> iam.Role:
    """Return the role behind a function or a task; findings are about its policy.

    Raises
    ------
    TypeError
        It is no role of these stacks.
    """
    principal = grantee.grant_principal
    if not isinstance(principal, iam.Role):
        raise TypeError("payloads are granted to roles")
    return principal
