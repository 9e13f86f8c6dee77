"""PostgreSQL on RDS, which Axon logs in to with IAM tokens, directly or through RDS Proxy."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra.constructs.network.security_groups import SecurityGroups
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.constructs.security.key_use import grant_key_use
from infra.settings.environment import EnvironmentSettings

PORT = 5432
NAME = "axon"
MONITORING = Duration.minutes(1)
OWNER = "axon_owner"
APPLICATION = "axon_app"

# The newest that RDS Proxy is known to serve with IAM from end to end; RDS keeps its minor version
# up to date.
_ENGINE = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17_9)


QUIET_LOG = {
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Settings by which the server's log quotes no row and no parameter of a statement: both have text
of clients. Slow statements are logged without their values."""


class Database(Construct):
    """The instance, its proxy if the settings ask for one, and the two ways to log in.

    Attributes
    ----------
    variables
        For processes that work with it: as `APPLICATION`, with an IAM token.
    owner_variables
        For migrations: as `OWNER`, with the secret that RDS keeps and rotates.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        groups: SecurityGroups,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._key = key
        self.instance = self._make_instance(settings=settings, vpc=vpc, groups=groups)
        self.proxy = (
            self._make_proxy(name=f"axon-{settings.name}", vpc=vpc, group=groups.postgres_proxy)
            if groups.postgres_proxy
            else None
        )
        instance = self.instance.db_instance_endpoint_address
        self.variables = {
            # The proxy's certificate is from a public authority; the instance's is from RDS's own.
            "AXON_POSTGRES_DSN": _dsn(
                APPLICATION, self.proxy.endpoint, "sslmode=verify-full&sslrootcert=system"
            )
            if self.proxy
            else _dsn(APPLICATION, instance, "sslmode=require"),
            "AXON_POSTGRES_IAM": "true",
        }
        self.owner_variables = {
            "AXON_POSTGRES_DSN": _dsn(OWNER, instance, "sslmode=require"),
            "AXON_POSTGRES_SECRET_ARN": self._secret_arn(),
        }

    def grant_connect(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow `grantee` to log in as `APPLICATION`."""
        if self.proxy:
            return self.proxy.grant_connect(grantee, APPLICATION)
        return self.instance.grant_connect(grantee, APPLICATION)

    def grant_owner(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow `grantee` to read the password of `OWNER`."""
        grant_key_use(grantee, self._key, "kms:Decrypt", service="secretsmanager")
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["secretsmanager:GetSecretValue"],
            resource_arns=[self._secret_arn()],
        )

    def _secret_arn(self) -> str:
        secret = self.instance.secret
        if secret is None:
            raise AssertionError("RDS manages the password")
        return secret.secret_arn

    def _make_instance(
        self, *, settings: EnvironmentSettings, vpc: ec2.IVpc, groups: SecurityGroups
    ) -> rds.DatabaseInstance:
        postgres = settings.postgres
        name = f"axon-{settings.name}"
        logs = log_group(
            self, "Logs", settings=settings, name=f"/aws/rds/instance/{name}/postgresql"
        )
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            instance_identifier=name,
            engine=_ENGINE,
            instance_type=ec2.InstanceType(postgres.instance_type.removeprefix("db.")),
            database_name=NAME,
            port=PORT,
            credentials=rds.Credentials.from_username(OWNER, encryption_key=self._key),
            manage_master_user_password=True,
            iam_authentication=True,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[self._closed("InstanceGroup", groups.postgres)],
            publicly_accessible=False,
            multi_az=postgres.multi_az,
            storage_type=rds.StorageType.GP3,
            allocated_storage=postgres.storage_gb,
            max_allocated_storage=postgres.max_storage_gb,
            storage_encryption_key=self._key,
            parameter_group=self._parameters(settings),
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            backup_retention=Duration.days(postgres.backup_days),
            delete_automated_backups=not settings.protect,
            auto_minor_version_upgrade=True,
            cloudwatch_logs_exports=["postgresql"],
            enable_performance_insights=postgres.performance_insights,
            monitoring_interval=MONITORING if postgres.performance_insights else None,
            performance_insight_encryption_key=self._key if postgres.performance_insights else None,
            deletion_protection=settings.protect,
            removal_policy=_removal(settings),
        )
        # RDS would make a group of its own, which nothing ever deletes.
        instance.node.add_dependency(logs)
        _accept_findings(instance, settings)
        return instance

    def _parameters(self, settings: EnvironmentSettings) -> rds.ParameterGroup:
        return rds.ParameterGroup(
            self,
            "Parameters",
            engine=_ENGINE,
            description=f"Axon {settings.name}: TLS only, statistics of statements",
            parameters={
                "rds.force_ssl": "1",
                "shared_preload_libraries": "pg_stat_statements",
                "log_min_duration_statement": "1000",
                **QUIET_LOG,
            },
            removal_policy=_removal(settings),
        )

    def _make_proxy(
        self, *, name: str, vpc: ec2.IVpc, group: ec2.ISecurityGroup
    ) -> rds.DatabaseProxy:
        role = iam.Role(self, "ProxyRole", assumed_by=iam.ServicePrincipal("rds.amazonaws.com"))
        self.instance.grant_connect(role, APPLICATION)
        return rds.DatabaseProxy(
            self,
            "Proxy",
            db_proxy_name=name,
            proxy_target=rds.ProxyTarget.from_instance(self.instance),
            role=role,
            default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
            require_tls=True,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[self._closed("ProxyGroup", group)],
        )

    def _closed(self, id: str, group: ec2.ISecurityGroup) -> ec2.ISecurityGroup:
        """Return the group in a form to which RDS's constructs add no rules of their own."""
        return ec2.SecurityGroup.from_security_group_id(
            self, id, group.security_group_id, mutable=False
        )


def _removal(settings: EnvironmentSettings) -> RemovalPolicy:
    """Return whether the database, and what it uses, outlive the stack."""
    return RemovalPolicy.RETAIN if settings.protect else RemovalPolicy.DESTROY


def _dsn(user: str, host: str, tls: str) -> str:
    return f"postgresql://{user}@{host}:{PORT}/{NAME}?{tls}"


def _accept_findings(instance: rds.DatabaseInstance, settings: EnvironmentSettings) -> None:
    acknowledge(
        instance,
        "AwsSolutions-RDS11",
        "Only Axon's own security groups reach the port; another number would hide nothing.",
    )
    if not settings.postgres.multi_az:
        for rule in ("AwsSolutions-RDS3", "CKV_AWS_157"):
            acknowledge(
                instance,
                rule,
                "This environment chose a single instance: history waits in its queue meanwhile.",
            )
    if settings.postgres.performance_insights:
        policy = "service-role/AmazonRDSEnhancedMonitoringRole"
        acknowledge(
            instance,
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}]",
            "RDS takes no narrower policy: all of a region's databases share one log group.",
        )
    else:
        acknowledge(
            instance,
            "CKV_AWS_118",
            "postgres.performance_insights turns it on; CloudWatch's metrics do for the alarms.",
        )
    if not settings.protect:
        acknowledge(
            instance,
            "AwsSolutions-RDS10",
            "This environment is meant to be destroyed with its data.",
        )
