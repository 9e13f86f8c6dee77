"""Valkey on ElastiCache: encrypted, over TLS only, logins with IAM tokens only."""

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.data.valkey_access import ACCESS_STRING
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

ENGINE = "valkey"
VERSION = "8.1"
FAMILY = "valkey8"
PORT = 6379

_FIVE_MINUTES = Duration.minutes(5)


class ValkeyCache(Construct):
    """A replication group with cluster mode disabled, which suits Pub/Sub best.

    Attributes
    ----------
    variables
        Environment variables with its address and its user.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._name = f"axon-{settings.name}"
        self._user = self._make_user()
        self._group = self._make_group(
            settings=settings, vpc=vpc, security_group=security_group, key=key
        )
        self._cluster_ids = [f"{self._name}-{n:03}" for n in range(1, settings.valkey.nodes + 1)]
        self.variables = {
            "AXON_VALKEY_URL": f"rediss://{self._group.attr_primary_end_point_address}:{PORT}",
            "AXON_VALKEY_IAM_USER": self._name,
            "AXON_VALKEY_IAM_CACHE": self._group.ref,
        }

    def grant_connect(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow `grantee` to log in; its permissions inside are those of `ACCESS_STRING`."""
        group = Stack.of(self).format_arn(
            service="elasticache",
            resource="replicationgroup",
            resource_name=self._group.ref,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["elasticache:Connect"],
            resource_arns=[group, self._user.attr_arn],
        )

    def metric(self, name: str, *, period: Duration = _FIVE_MINUTES) -> cloudwatch.IMetric:
        """Return ElastiCache's metric `name`: the maximum over all nodes."""
        nodes: dict[str, cloudwatch.IMetric] = {
            f"node{number}": cloudwatch.Metric(
                namespace="AWS/ElastiCache",
                metric_name=name,
                # A cluster behind a replication group has one node.
                dimensions_map={"CacheClusterId": cluster, "CacheNodeId": "0001"},
                statistic="Maximum",
                period=period,
            )
            for number, cluster in enumerate(self._cluster_ids, start=1)
        }
        if len(nodes) == 1:
            return nodes["node1"]
        return cloudwatch.MathExpression(
            expression=f"MAX([{','.join(nodes)}])", using_metrics=nodes, label=name, period=period
        )

    def _make_user(self) -> elasticache.CfnUser:
        return elasticache.CfnUser(
            self,
            "User",
            engine=ENGINE,
            # IAM authentication requires that both are the same.
            user_id=self._name,
            user_name=self._name,
            authentication_mode={"Type": "iam"},
            access_string=ACCESS_STRING,
        )

    def _make_group(
        self,
        *,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
    ) -> elasticache.CfnReplicationGroup:
        replicated = settings.valkey.nodes > 1
        parameters, subnets, users = self._parameters(), self._subnets(vpc), self._user_group()
        group = elasticache.CfnReplicationGroup(
            self,
            "Group",
            replication_group_id=self._name,
            replication_group_description=f"Axon {settings.name}: event logs, directories, caches",
            engine=ENGINE,
            engine_version=VERSION,
            auto_minor_version_upgrade=True,
            cache_node_type=settings.valkey.node_type,
            cache_parameter_group_name=parameters.ref,
            cluster_mode="disabled",
            num_cache_clusters=settings.valkey.nodes,
            multi_az_enabled=replicated,
            automatic_failover_enabled=replicated,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[security_group.security_group_id],
            port=PORT,
            at_rest_encryption_enabled=True,
            kms_key_id=key.key_arn,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            user_group_ids=[users.ref],
            snapshot_retention_limit=settings.valkey.snapshot_days,
        )
        # Resources that a retained group uses cannot be deleted, so all share one policy.
        for resource in (group, parameters, subnets, users, self._user):
            resource.apply_removal_policy(
                RemovalPolicy.RETAIN if settings.protect else RemovalPolicy.DESTROY
            )
        _accept_findings(group, replicated=replicated)
        return group

    def _parameters(self) -> elasticache.CfnParameterGroup:
        return elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=FAMILY,
            description=f"{self._name}: nothing is evicted, since logs and leases are no cache",
            properties={"maxmemory-policy": "noeviction"},
        )

    def _subnets(self, vpc: ec2.IVpc) -> elasticache.CfnSubnetGroup:
        return elasticache.CfnSubnetGroup(
            self,
            "Subnets",
            cache_subnet_group_name=self._name,
            description=f"{self._name}: isolated subnets",
            subnet_ids=vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
        )

    def _user_group(self) -> elasticache.CfnUserGroup:
        return elasticache.CfnUserGroup(
            self,
            "Users",
            engine=ENGINE,
            user_group_id=self._name,
            user_ids=[self._user.ref],
        )


def _accept_findings(group: elasticache.CfnReplicationGroup, *, replicated: bool) -> None:
    acknowledge(
        group,
        "AwsSolutions-AEC5",
        "Only Axon's own security groups reach the port; another number would hide nothing.",
    )
    acknowledge(
        group,
        "AwsSolutions-AEC6",
        "The only user enters with IAM tokens of fifteen minutes; there is no AUTH password.",
    )
    if not replicated:
        acknowledge(
            group,
            "AwsSolutions-AEC4",
            "This environment chose a single node: its responses may be lost with it.",
        )
