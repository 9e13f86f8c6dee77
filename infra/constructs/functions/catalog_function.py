"""A Lambda function of the catalog: its code, its role, its logs, its alarms."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from axon import catalog
from infra.constructs.functions.function_role import function_role
from infra.constructs.functions.layers import CACHES, Layers, architecture, runtime
from infra.constructs.functions.wheels import ROOT
from infra.constructs.observability.alarms import Alarms
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.constructs.security.grants import Grants, grant
from infra.settings.environment import EnvironmentSettings

NAMESPACE = "Axon"
PERIOD = Duration.minutes(5)

# Matches the log records of failures, those that the handler answers included. "Unauthorized" is
# no failure: the authorizer raises it to make API Gateway answer 401.
FAILURES = (
    '{ ($.level = "ERROR" && $.errorType NOT EXISTS)'
    ' || ($.level = "ERROR" && $.errorType != "Unauthorized")'
    ' || ($.record.status = "timeout") || ($.record.status = "failure") }'
)

# The libpq in psycopg's wheel has no certificate authorities of its own, unlike Python's ssl.
CERTIFICATES = "/opt/python/botocore/cacert.pem"


class CatalogFunction(Construct):
    """A function of `axon.catalog`, with permissions for what it uses and no more.

    Parameters
    ----------
    name : str
        Name of the function.
    definition : catalog.Function
        What the catalog says of it.
    folder : str
        Folder of its code, from the repository's root.
    vpc : ec2.IVpc
        Its private subnets hold the function.
    security_group : ec2.ISecurityGroup
        Permits what the function connects to.
    grants : Grants
        Permissions by resource; of these the catalog chooses.
    layers : Layers
        The library, and the packages of the lock.
    variables : Mapping[str, str]
        Environment variables beyond those that come with the grants.
    reserved_concurrency : int | None
        The most invocations at a time, taken from the account's; None: what others leave.

    Attributes
    ----------
    function, log_group
        The function and its log group.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        definition: catalog.Function,
        folder: str,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        grants: Grants,
        layers: Layers,
        variables: Mapping[str, str],
        reserved_concurrency: int | None = None,
    ) -> None:
        super().__init__(scope, id)
        self._name = name.replace("_", "-")
        self._catalog = definition
        self.log_group = log_group(self, "Logs", settings=settings, name=f"functions/{name}")
        self._full_name = f"axon-{settings.name}-{self._name}"
        role = function_role(self, "Role", function_name=self._full_name, log_group=self.log_group)
        given = grant(role, self._catalog.uses, grants=grants)
        tracing = settings.observability.tracing
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=self._full_name,
            code=lambda_.Code.from_asset(str(ROOT / folder), exclude=CACHES),
            handler="handler.handler",
            runtime=runtime(settings),
            architecture=architecture(settings),
            layers=[layers.dependencies, layers.shared],
            role=role,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[security_group],
            timeout=Duration.seconds(self._catalog.timeout_s),
            memory_size=self._catalog.memory_mb,
            reserved_concurrent_executions=reserved_concurrency,
            environment={**given, **variables, **_common(name)},
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE if tracing else lambda_.Tracing.DISABLED,
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The environment chooses its Python, for which the dependencies' wheels were picked.",
        )
        acknowledge(
            self.function,
            "CKV_AWS_116",
            "Its caller waits, is a queue with dead letters of its own, or a schedule.",
        )

    def watch(self, alarms: Alarms) -> None:
        """Add alarms on failures, throttling, and durations close to the timeout."""
        self.watch_failures(alarms)
        alarms.on(
            self.function.metric_duration(period=PERIOD, statistic="p99"),
            id=f"{self._name}-duration",
            threshold=0.8 * 1000 * self._catalog.timeout_s,
            description=f"{self._name} nears its timeout: look at Valkey and PostgreSQL first.",
            periods=3,
            breaching=2,
        )

    def watch_failures(self, alarms: Alarms) -> None:
        """Add alarms on failures and throttling."""
        alarms.on(
            self._failures(),
            id=f"{self._name}-failures",
            threshold=1,
            description=f"{self._name} failed: search its log group for ERROR.",
        )
        alarms.on(
            self.function.metric_throttles(period=PERIOD),
            id=f"{self._name}-throttles",
            threshold=1,
            description=f"{self._name} was throttled: raise the account's Lambda concurrency.",
        )

    def _failures(self) -> cloudwatch.Metric:
        filtered = self.log_group.add_metric_filter(
            "Failures",
            filter_pattern=logs.FilterPattern.literal(FAILURES),
            metric_namespace=NAMESPACE,
            metric_name=f"{self._full_name}-failures",
        )
        return filtered.metric(period=PERIOD, statistic="Sum")


def _common(name: str) -> dict[str, str]:
    return {
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "SSL_CERT_FILE": CERTIFICATES,
    }
