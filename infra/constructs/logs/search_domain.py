"""The log domain: OpenSearch within the VPC, in which logs can be searched.

The account needs the service-linked role that OpenSearch uses in VPCs, created once by
``aws iam create-service-linked-role --aws-service-name opensearchservice.amazonaws.com``.
"""

from typing import cast

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_opensearchservice as opensearch
from constructs import Construct

from infra.constructs.functions.infra_function import infra_function, run_on_change
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.handlers.prepare_domain import INDEX
from infra.settings.environment import EnvironmentSettings

VERSION = opensearch.EngineVersion.OPENSEARCH_2_19
STORAGE_GB = 50
"""Disk of each node."""

HTTPS = ec2.Port.HTTPS
METHODS = ["Delete", "Get", "Head", "Patch", "Post", "Put"]


class SearchDomain(Construct):
    """The domain: encrypted at rest and in transit, for IAM roles within the VPC only.

    Its master user is the role of the function that prepares it (`prepare_domain`). That function
    sets the permissions of `writer` (Firehose) and `reader` (a role that people assume).

    Attributes
    ----------
    domain
        The domain.
    writer, reader
        Roles that may write and read logs.
    clients
        The security group whose members may connect.
    subnets
        Subnets of the domain, one for each zone that it spans.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._vpc = vpc
        self.subnets = vpc.isolated_subnets[: self._zones]
        self.clients = self._group("log-clients", "may connect to the log domain")
        self.writer = self._role("log-writer", iam.ServicePrincipal("firehose.amazonaws.com"))
        self.reader = self._role("log-reader", iam.AccountPrincipal(Stack.of(self).account))
        prepare = self._prepare()
        self.domain = self._domain(prepare, key)
        prepare.add_environment("AXON_DOMAIN_HOST", self.domain.domain_endpoint)
        run_on_change(self, "Prepared", handler=prepare, settings=settings, after=self.domain)
        CfnOutput(
            Stack.of(self),
            "LogReaderRole",
            value=self.reader.role_arn,
            description=f"take it on to search {INDEX}* from within the VPC",
        )

    @property
    def _zones(self) -> int:
        return min(self._settings.observability.opensearch_nodes, self._settings.network.zones)

    def _group(self, name: str, of: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self,
            f"{name.title().replace('-', '')}Group",
            vpc=self._vpc,
            security_group_name=f"axon-{self._settings.name}-{name}",
            description=f"Axon {self._settings.name}: {of}",
            allow_all_outbound=False,
        )

    def _role(self, name: str, principal: iam.IPrincipal) -> iam.Role:
        return iam.Role(
            self,
            name.title().replace("-", ""),
            role_name=f"axon-{self._settings.name}-{name}",
            assumed_by=principal,
        )

    def _prepare(self) -> lambda_.Function:
        observability = self._settings.observability
        function = infra_function(
            self,
            "Prepare",
            settings=self._settings,
            name="prepare-domain",
            environment={
                "AXON_WRITER_ARN": self.writer.role_arn,
                "AXON_READER_ARN": self.reader.role_arn,
                "AXON_RETENTION_DAYS": str(observability.log_retention_days),
                "AXON_REPLICAS": str(min(observability.opensearch_nodes - 1, 1)),
            },
            timeout=Duration.minutes(5),
            vpc=self._vpc,
            subnets=self.subnets,
            security_group=self.clients,
        )
        acknowledge(function, "CKV_AWS_116", "A deployment invokes it, and fails where it fails.")
        return function

    def _domain(self, prepare: lambda_.Function, key: kms.IKey) -> opensearch.Domain:
        settings = self._settings
        nodes = settings.observability.opensearch_nodes
        removal = RemovalPolicy.RETAIN if settings.protect else RemovalPolicy.DESTROY
        group = self._group("log-domain", "the log domain")
        # A group cannot be deleted while a retained domain uses it.
        group.apply_removal_policy(removal)
        group.add_ingress_rule(self.clients, HTTPS, "logs")
        self.clients.add_egress_rule(group, HTTPS, "log domain")
        master = cast("iam.IRole", prepare.role)
        logging, policy = self._logs()
        domain = opensearch.Domain(
            self,
            "Domain",
            domain_name=f"axon-{settings.name}-logs",
            version=VERSION,
            capacity=opensearch.CapacityConfig(
                data_nodes=nodes,
                data_node_instance_type=settings.observability.opensearch_instance_type,
                multi_az_with_standby_enabled=False,
            ),
            zone_awareness=opensearch.ZoneAwarenessConfig(
                enabled=self._zones > 1,
                availability_zone_count=self._zones if self._zones > 1 else None,
            ),
            ebs=opensearch.EbsOptions(
                volume_size=STORAGE_GB, volume_type=ec2.EbsDeviceVolumeType.GP3
            ),
            vpc=self._vpc,
            vpc_subnets=[ec2.SubnetSelection(subnets=self.subnets)],
            security_groups=[group],
            encryption_at_rest=opensearch.EncryptionAtRestOptions(enabled=True, kms_key=key),
            node_to_node_encryption=True,
            enforce_https=True,
            tls_security_policy=opensearch.TLSSecurityPolicy.TLS_1_2_PFS,
            fine_grained_access_control=opensearch.AdvancedSecurityOptions(
                master_user_arn=master.role_arn
            ),
            logging=logging,
            suppress_logs_resource_policy=True,
            enable_auto_software_update=True,
            removal_policy=removal,
        )
        domain.node.add_dependency(policy)
        self._allow(domain, [master.role_arn, self.writer.role_arn, self.reader.role_arn])
        self._acknowledge(domain)
        return domain

    def _logs(self) -> tuple[opensearch.LoggingOptions, logs.ResourcePolicy]:
        """Create the domain's own log groups; OpenSearch may write to them for this domain only."""
        groups = {
            kind: log_group(
                self,
                f"{kind.title()}Logs",
                settings=self._settings,
                name=f"observability/domain-{kind}",
            )
            for kind in ("application", "searches", "indexing", "audit")
        }
        stack = Stack.of(self)
        policy = logs.ResourcePolicy(
            self,
            "LogsPolicy",
            resource_policy_name=f"axon-{self._settings.name}-log-domain",
            policy_statements=[
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("es.amazonaws.com")],
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[group.log_group_arn for group in groups.values()],
                    conditions={
                        "StringEquals": {"aws:SourceAccount": stack.account},
                        "ArnLike": {"aws:SourceArn": self._arn},
                    },
                )
            ],
        )
        logging = opensearch.LoggingOptions(
            app_log_enabled=True,
            app_log_group=groups["application"],
            slow_search_log_enabled=True,
            slow_search_log_group=groups["searches"],
            slow_index_log_enabled=True,
            slow_index_log_group=groups["indexing"],
            audit_log_enabled=True,
            audit_log_group=groups["audit"],
        )
        return logging, policy

    @property
    def _arn(self) -> str:
        return Stack.of(self).format_arn(
            service="es", resource="domain", resource_name=f"axon-{self._settings.name}-logs"
        )

    def _allow(self, domain: opensearch.Domain, roles: list[str]) -> None:
        # Set on the L1 resource: CDK's `access_policies` adds a custom resource with a function
        # that sets them after the domain exists.
        resource = cast("opensearch.CfnDomain", domain.node.default_child)
        resource.access_policies = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": roles},
                    "Action": [f"es:ESHttp{method}" for method in METHODS],
                    "Resource": f"{self._arn}/*",
                }
            ],
        }

    def _acknowledge(self, domain: opensearch.Domain) -> None:
        acknowledge(
            domain,
            "AwsSolutions-OS3",
            "It has no public address: its security group lets in what carries another group.",
        )
        acknowledge(
            domain,
            "AwsSolutions-OS4",
            "Few nodes for the logs of one system: they elect a leader among themselves.",
        )
        if self._zones == 1:
            acknowledge(
                domain,
                "AwsSolutions-OS7",
                "One node was asked for; the logs are in CloudWatch as well.",
            )
