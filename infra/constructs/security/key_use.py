"""Permission to use a KMS key through one AWS service only."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms


def grant_key_use(grantee: iam.IGrantable, key: kms.IKey, *actions: str, service: str) -> None:
    """Allow `actions` on `key` when `service` performs them on behalf of `grantee`.

    One key encrypts the queues, the secrets and the models, so a process that may use it for one
    of these must not be able to use it for the others.

    Parameters
    ----------
    grantee : iam.IGrantable
        The function or the role that may use the key through the service.
    key : kms.IKey
        The key of the environment.
    service : str
        First label of the service's endpoint: ``sqs``, ``s3``, ``secretsmanager``.
    actions : str
        Actions of KMS, such as ``kms:Decrypt``.
    """
    stack = Stack.of(key)
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=list(actions),
        resource_arns=[key.key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": f"{service}.{stack.region}.{stack.url_suffix}"}
        },
    )
