"""The buckets: models, payloads, and the access logs of all that writes such logs to S3."""

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from axon import catalog
from infra.constructs.functions.custom_resources import EMPTY_BUCKET, confine_provider_logs
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

ACCESS_LOGS_DAYS = 90
OLD_VERSIONS_DAYS = 30


class Buckets(Construct):
    """Private buckets that accept TLS only; without `protect` they go with their content."""

    def __init__(
        self, scope: Construct, id: str, *, settings: EnvironmentSettings, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self.access_logs = self._bucket(
            "access-logs",
            # AWS's log delivery cannot write to a bucket with a customer managed key.
            encryption=s3.BucketEncryption.S3_MANAGED,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(ACCESS_LOGS_DAYS))],
        )
        acknowledge(self.access_logs, "CKV_AWS_18", "It holds logs; logging those would not end.")
        acknowledge(self.access_logs, "CKV_AWS_21", "What is logged is written once, and expires.")
        self.models = self._bucket(
            "models",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            versioned=True,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="models/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(OLD_VERSIONS_DAYS),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
        )
        self.payloads = self._bucket(
            "payloads",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            # One call to KMS for the bucket's key instead of one for each object.
            bucket_key_enabled=True,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="payloads/",
            lifecycle_rules=[
                _expire(catalog.STORED, days=catalog.STORED_DAYS),
                _expire(catalog.UNSTORED, days=catalog.UNSTORED_DAYS),
                _expire(catalog.UPLOADS, days=catalog.UPLOAD_DAYS),
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
            ],
            cors=_uploads_from(settings.front.cors_origins),
        )
        acknowledge(self.payloads, "CKV_AWS_21", "What it holds is written once, and expires.")
        if not settings.protect:
            confine_provider_logs(
                self, settings=settings, provider=EMPTY_BUCKET, logs="data/empty-buckets"
            )

    def _bucket(
        self,
        name: str,
        *,
        encryption: s3.BucketEncryption,
        lifecycle_rules: list[s3.LifecycleRule],
        encryption_key: kms.IKey | None = None,
        bucket_key_enabled: bool = False,
        versioned: bool = False,
        server_access_logs_bucket: s3.IBucket | None = None,
        server_access_logs_prefix: str | None = None,
        cors: list[s3.CorsRule] | None = None,
    ) -> s3.Bucket:
        keep = self._settings.protect
        return s3.Bucket(
            self,
            name.title().replace("-", ""),
            # Bucket names are unique among all accounts of AWS.
            bucket_name=f"axon-{self._settings.name}-{name}-{Aws.ACCOUNT_ID}-{Aws.REGION}",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            encryption=encryption,
            encryption_key=encryption_key,
            bucket_key_enabled=bucket_key_enabled,
            versioned=versioned,
            server_access_logs_bucket=server_access_logs_bucket,
            server_access_logs_prefix=server_access_logs_prefix,
            lifecycle_rules=lifecycle_rules,
            cors=cors,
            removal_policy=RemovalPolicy.RETAIN if keep else RemovalPolicy.DESTROY,
            auto_delete_objects=not keep,
        )


def _expire(prefix: str, *, days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(prefix=prefix, expiration=Duration.days(days))


def _uploads_from(origins: tuple[str, ...]) -> list[s3.CorsRule] | None:
    """Return the rule by which pages that may call the front may upload, too."""
    if not origins:
        return None
    return [
        s3.CorsRule(
            allowed_methods=[s3.HttpMethods.PUT],
            allowed_origins=[*origins],
            allowed_headers=["*"],
            max_age=3600,
        )
    ]
