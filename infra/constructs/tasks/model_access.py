"""Read access to a worker's models: their place in S3, and permission for that place only."""

from urllib.parse import urlsplit

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from infra.constructs.security.key_use import grant_key_use
from infra.constructs.security.wildcards import acknowledge_below

MODELS_SCHEME = "models"


def grant_model(role: iam.IRole, uri: str, *, models: s3.Bucket, key: kms.IKey) -> str:
    """Allow `role` to read the folder or bucket `uri`; return its location as ``s3://...``.

    A bucket outside the environment (``s3://``) with a customer managed key needs a key policy that
    allows the role to decrypt.
    """
    parts = urlsplit(uri)
    if parts.scheme == MODELS_SCHEME:
        bucket = Stack.of(models).export_value(models.bucket_name)
        folder = f"{parts.netloc}{parts.path}".strip("/")
        grant_key_use(role, key, "kms:Decrypt", service="s3")
    else:
        bucket, folder = parts.netloc, parts.path.strip("/")
    _read(role, bucket, folder)
    return f"s3://{bucket}/{folder}"


def _read(role: iam.IRole, bucket: str, folder: str) -> None:
    arn = Stack.of(role).format_arn(service="s3", region="", account="", resource=bucket)
    files = f"{folder}/*" if folder else "*"
    objects = f"{arn}/{files}"
    # One action a statement; the second one is for the sizes of an upload's parts, whose checksums
    # verify the copy.
    for action in ("s3:GetObject", "s3:GetObjectAttributes"):
        role.add_to_principal_policy(iam.PolicyStatement(actions=[action], resources=[objects]))
    role.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[arn],
            conditions={"StringLike": {"s3:prefix": [files]}},
        )
    )
    acknowledge_below(role, objects, "The files of the models that the worker may serve.")
