"""Log forwarding: CloudWatch Logs -> a function that splits batches -> Firehose -> the domain.

CloudWatch sends many log events in one record and Firehose makes one document of a record, which
OpenSearch refuses. So a function splits them first (``infra/handlers/split_logs.py``).
"""

from typing import cast

from aws_cdk import CfnElement, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_logs_destinations as destinations
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.functions.custom_resources import EMPTY_BUCKET, confine_provider_logs
from infra.constructs.functions.infra_function import infra_function
from infra.constructs.logs.search_domain import SearchDomain
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.handlers.prepare_domain import INDEX
from infra.settings.environment import EnvironmentSettings


class LogForwarding(Construct):
    """Delivers the log events of log groups to `domain`; refused documents go to a bucket."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        domain: SearchDomain,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self.refused = self._bucket(key)
        self.stream = self._stream(domain, key)
        self.splitter = self._splitter()

    def watch(self, group: logs.LogGroup) -> None:
        """Forward the events of `group`. The filter belongs to the stack of the group."""
        logs.SubscriptionFilter(
            group,
            "ToLogDomain",
            log_group=group,
            filter_pattern=logs.FilterPattern.all_events(),
            # `_splitter` allows all groups of the environment at once: a function's policy has room
            # for 20 KB only.
            destination=destinations.LambdaDestination(self.splitter, add_permissions=False),
        )

    def _bucket(self, key: kms.IKey) -> s3.Bucket:
        protect = self._settings.protect
        bucket = s3.Bucket(
            self,
            "Refused",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(self._settings.observability.log_retention_days)
                )
            ],
            removal_policy=RemovalPolicy.RETAIN if protect else RemovalPolicy.DESTROY,
            auto_delete_objects=not protect,
        )
        if not protect:
            confine_provider_logs(
                bucket,
                settings=self._settings,
                provider=EMPTY_BUCKET,
                logs="observability/empty-buckets",
            )
        unlogged = (
            "It holds copies of log events, written by Firehose alone and gone after the retention "
            "of the logs; a log of who reads them would hold less than CloudTrail has."
        )
        acknowledge(bucket, "AwsSolutions-S1", unlogged)
        acknowledge(bucket, "CKV_AWS_18", unlogged)
        acknowledge(bucket, "CKV_AWS_21", "Firehose writes each object once; then they expire.")
        return bucket

    def _stream(self, domain: SearchDomain, key: kms.IKey) -> firehose.CfnDeliveryStream:
        name = f"axon-{self._settings.name}-logs"
        errors = log_group(
            self, "Errors", settings=self._settings, name="observability/log-delivery"
        )
        error_stream = logs.LogStream(
            self, "ErrorStream", log_group=errors, removal_policy=RemovalPolicy.DESTROY
        )
        policy = self._allow_writer(domain.writer, domain, key, errors)
        logging = firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty(
            enabled=True,
            log_group_name=errors.log_group_name,
            log_stream_name=error_stream.log_stream_name,
        )
        stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_name=name,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="CUSTOMER_MANAGED_CMK", key_arn=key.key_arn
            ),
            amazonopensearchservice_destination_configuration=self._destination(domain, logging),
        )
        # Firehose checks the role's permissions when the stream is created.
        stream.node.add_dependency(policy, domain)
        return stream

    def _destination(
        self,
        domain: SearchDomain,
        logging: firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty,
    ) -> firehose.CfnDeliveryStream.AmazonopensearchserviceDestinationConfigurationProperty:
        stream = firehose.CfnDeliveryStream
        role_arn = domain.writer.role_arn
        return stream.AmazonopensearchserviceDestinationConfigurationProperty(
            role_arn=role_arn,
            domain_arn=domain.domain.domain_arn,
            index_name=INDEX,
            index_rotation_period="OneDay",
            buffering_hints=stream.AmazonopensearchserviceBufferingHintsProperty(
                interval_in_seconds=60, size_in_m_bs=5
            ),
            retry_options=stream.AmazonopensearchserviceRetryOptionsProperty(
                duration_in_seconds=3600
            ),
            vpc_configuration=stream.VpcConfigurationProperty(
                role_arn=role_arn,
                subnet_ids=[subnet.subnet_id for subnet in domain.subnets],
                security_group_ids=[domain.clients.security_group_id],
            ),
            cloud_watch_logging_options=logging,
            s3_backup_mode="FailedDocumentsOnly",
            s3_configuration=stream.S3DestinationConfigurationProperty(
                bucket_arn=self.refused.bucket_arn,
                role_arn=role_arn,
                compression_format="GZIP",
                error_output_prefix="errors/",
                cloud_watch_logging_options=logging,
            ),
        )

    def _allow_writer(
        self, role: iam.Role, domain: SearchDomain, key: kms.IKey, errors: logs.LogGroup
    ) -> iam.Policy:
        """Grant Firehose the permissions that its documentation lists, on these resources only."""
        policy = iam.Policy(self, "Writer", roles=[role])
        bucket = self.refused.bucket_arn
        arn = domain.domain.domain_arn
        for actions, resources in (
            (
                ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                [bucket],
            ),
            (["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], [f"{bucket}/*"]),
            (["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn]),
            (["logs:PutLogEvents"], [errors.log_group_arn]),
            (
                [
                    "es:DescribeDomain",
                    "es:DescribeDomainConfig",
                    "es:DescribeDomains",
                    "es:ESHttpGet",
                    "es:ESHttpPost",
                    "es:ESHttpPut",
                ],
                [arn, f"{arn}/*"],
            ),
            (
                [
                    "ec2:CreateNetworkInterface",
                    "ec2:CreateNetworkInterfacePermission",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcAttribute",
                    "ec2:DescribeVpcs",
                ],
                ["*"],
            ),
        ):
            policy.add_statements(iam.PolicyStatement(actions=actions, resources=resources))
        for where, reason in (
            ("*", "Network interfaces have no ids before Firehose has made them."),
            (f"<{_logical_id(self.refused)}.Arn>/*", "Objects of the one bucket."),
            (f"<{_logical_id(domain.domain)}.Arn>/*", "Paths of the one domain's API."),
        ):
            acknowledge(policy, f"AwsSolutions-IAM5[Resource::{where}]", reason)
        for rule in ("CKV_AWS_109", "CKV_AWS_111"):
            acknowledge(
                policy,
                rule,
                "Firehose asks for these actions on interfaces that it has yet to make.",
            )
        return policy

    def _splitter(self) -> lambda_.Function:
        function = infra_function(
            self,
            "Splitter",
            settings=self._settings,
            name="split-logs",
            environment={"AXON_LOG_STREAM": self.stream.ref},
            timeout=Duration.minutes(1),
        )
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["firehose:PutRecordBatch"], resources=[self.stream.attr_arn]
            )
        )
        acknowledge(function, "CKV_AWS_117", "It calls Firehose, and nothing within the VPC.")
        acknowledge(
            function,
            "CKV_AWS_116",
            "What it fails to send stays in the log group that it came from; an alarm tells.",
        )
        stack = Stack.of(self)
        function.add_permission(
            "LogGroups",
            principal=iam.ServicePrincipal("logs.amazonaws.com"),
            source_account=stack.account,
            source_arn=stack.format_arn(
                service="logs", resource=f"log-group:/axon/{self._settings.name}/*"
            ),
        )
        return function


def _logical_id(construct: Construct) -> str:
    """Return the logical id of `construct`, by which cdk-nag names it."""
    element = cast("CfnElement", construct.node.default_child)
    return Stack.of(construct).get_logical_id(element)
