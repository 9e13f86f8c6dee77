"""The key, Valkey and PostgreSQL: closed, encrypted, and kept where they must be."""

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template

from axon.adapters.valkey.memory import EVICT_ABOVE
from infra.constructs.data.alarms import memory
from infra.constructs.data.valkey_access import ACCESS_STRING
from infra.settings.environment import EnvironmentSettings, load
from infra.stacks.data import DataStack
from infra.stacks.foundation import Foundation
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from tests.infra.conftest import Templates
from tests.infra.support.templates import Properties, listed, only, resources, text

KEY = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}


@pytest.fixture(params=["dev", "prod"])
def either(request: pytest.FixtureRequest) -> Template:
    """The data stack of both environments, one after the other."""
    templates: Templates = request.getfixturevalue(request.param)
    return templates["data"]


def is_isolated(subnets: object) -> bool:
    assert isinstance(subnets, list)
    return bool(subnets) and all("isolatedSubnet" in text(subnet) for subnet in subnets)


# The key.


def test_data_key_is_rotated(dev: Templates, prod: Templates) -> None:
    for templates, days in ((dev, 7), (prod, 30)):
        key = only(templates["data"], "AWS::KMS::Key")
        assert key["EnableKeyRotation"] is True
        assert key["PendingWindowInDays"] == days


# Valkey.


def test_valkey_is_encrypted_and_reached_from_its_group_only(either: Template) -> None:
    group = only(either, "AWS::ElastiCache::ReplicationGroup")
    assert group["TransitEncryptionEnabled"] is True
    assert group["TransitEncryptionMode"] == "required"
    assert group["AtRestEncryptionEnabled"] is True
    assert text(group["KmsKeyId"]).startswith("{Key")
    assert "AuthToken" not in group
    (allowed,) = map(text, group["SecurityGroupIds"])
    assert "-network:ExportsOutputFnGetAttValkeyGroup" in allowed
    assert is_isolated(only(either, "AWS::ElastiCache::SubnetGroup")["SubnetIds"])


def test_valkey_has_one_user_with_iam_authentication(dev: Templates) -> None:
    template = dev["data"]
    user = only(template, "AWS::ElastiCache::User")
    assert user["UserId"] == user["UserName"] == "axon-dev"
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert user["AccessString"] == ACCESS_STRING
    (name,) = resources(template, "AWS::ElastiCache::User")
    assert only(template, "AWS::ElastiCache::UserGroup")["UserIds"] == [{"Ref": name}]
    (users,) = resources(template, "AWS::ElastiCache::UserGroup")
    group = only(template, "AWS::ElastiCache::ReplicationGroup")
    assert group["UserGroupIds"] == [{"Ref": users}]
    engines = {each["Engine"] for each in (user, group)}
    assert engines == {"valkey"}


def test_valkey_evicts_nothing_and_has_cluster_mode_disabled(dev: Templates) -> None:
    parameters = only(dev["data"], "AWS::ElastiCache::ParameterGroup")
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    group = only(dev["data"], "AWS::ElastiCache::ReplicationGroup")
    assert group["ClusterMode"] == "disabled"
    assert "NumNodeGroups" not in group


@pytest.mark.parametrize(
    ("name", "nodes", "several", "snapshots"), [("dev", 1, False, 0), ("prod", 3, True, 7)]
)
def test_valkey_with_several_nodes_survives_the_loss_of_one(
    name: str, nodes: int, several: bool, snapshots: int, request: pytest.FixtureRequest
) -> None:
    template = request.getfixturevalue(name)["data"]
    group = only(template, "AWS::ElastiCache::ReplicationGroup")
    assert group["NumCacheClusters"] == nodes
    assert group["MultiAZEnabled"] is group["AutomaticFailoverEnabled"] is several
    assert group["SnapshotRetentionLimit"] == snapshots


# PostgreSQL.


def test_postgres_is_encrypted_and_reached_from_its_group_only(either: Template) -> None:
    instance = only(either, "AWS::RDS::DBInstance")
    assert instance["PubliclyAccessible"] is False
    assert instance["StorageEncrypted"] is True
    assert text(instance["KmsKeyId"]).startswith("{Key")
    assert is_isolated(only(either, "AWS::RDS::DBSubnetGroup")["SubnetIds"])
    parameters = only(either, "AWS::RDS::DBParameterGroup")["Parameters"]
    assert parameters["rds.force_ssl"] == "1"
    # Slow statements are logged, but neither their values nor rows that are refused.
    assert parameters["log_parameter_max_length"] == "0"
    assert parameters["log_parameter_max_length_on_error"] == "0"
    assert parameters["log_error_verbosity"] == "terse"
    (group,) = map(text, instance["VPCSecurityGroups"])
    assert "PostgresGroup" in group


def test_postgres_owner_password_is_known_to_rds_only(dev: Templates) -> None:
    instance = only(dev["data"], "AWS::RDS::DBInstance")
    assert instance["ManageMasterUserPassword"] is True
    assert instance["MasterUsername"] == "axon_owner"
    assert text(instance["MasterUserSecret"]["KmsKeyId"]).startswith("{Key")
    assert "MasterUserPassword" not in instance
    dev["data"].resource_count_is("AWS::SecretsManager::Secret", 0)
    assert instance["EnableIAMDatabaseAuthentication"] is True


@pytest.mark.parametrize(("name", "safe", "days"), [("dev", False, 1), ("prod", True, 14)])
def test_postgres_of_a_protected_environment_survives_a_zone_and_a_mistake(
    name: str, safe: bool, days: int, request: pytest.FixtureRequest
) -> None:
    instance = only(request.getfixturevalue(name)["data"], "AWS::RDS::DBInstance")
    assert instance["MultiAZ"] is instance["DeletionProtection"] is safe
    assert instance["DeleteAutomatedBackups"] is not safe
    assert instance["BackupRetentionPeriod"] == days


def test_postgres_counts_statements_and_its_logs_expire(prod: Templates) -> None:
    template = prod["data"]
    parameters = only(template, "AWS::RDS::DBParameterGroup")["Parameters"]
    assert parameters["shared_preload_libraries"] == "pg_stat_statements"
    # RDS writes to a group of this name; one that it made itself would never be deleted.
    group = only(template, "AWS::Logs::LogGroup")
    assert group["LogGroupName"] == "/aws/rds/instance/axon-prod/postgresql"
    assert group["RetentionInDays"] == 90
    (log_group,) = template.find_resources("AWS::Logs::LogGroup")
    (instance,) = template.find_resources("AWS::RDS::DBInstance").values()
    assert log_group in instance["DependsOn"]


def test_postgres_machine_is_monitored_with_performance_insights(
    dev: Templates, prod: Templates
) -> None:
    assert only(prod["data"], "AWS::RDS::DBInstance")["MonitoringInterval"] == 60
    assert "MonitoringInterval" not in only(dev["data"], "AWS::RDS::DBInstance")


def test_postgres_proxy_takes_iam_and_tls_only(prod: Templates) -> None:
    template = prod["data"]
    proxy = only(template, "AWS::RDS::DBProxy")
    assert proxy["DefaultAuthScheme"] == "IAM_AUTH"
    assert proxy["RequireTLS"] is True
    assert "Auth" not in proxy
    assert is_isolated(proxy["VpcSubnetIds"])
    (group,) = map(text, proxy["VpcSecurityGroupIds"])
    assert "PostgresProxyGroup" in group
    (statement,) = only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "rds-db:connect"
    assert text(statement["Resource"]).endswith(".DbiResourceId}/axon_app")


def test_postgres_of_dev_has_no_proxy(dev: Templates) -> None:
    dev["data"].resource_count_is("AWS::RDS::DBProxy", 0)


def test_postgres_proxy_target_group_has_no_tags(prod: Templates) -> None:
    assert "Tags" not in only(prod["data"], "AWS::RDS::DBProxyTargetGroup")


# The ways in.


class DataStackHarness:
    """The data stack of an environment, and a role in a stack of its own that was let in."""

    def __init__(self, settings: EnvironmentSettings) -> None:
        app = App()
        # As `infra.application` sets it: access logs by a policy, not by an access control list.
        app.node.set_context("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy", True)
        network = NetworkStack(app, "network", settings=settings)
        observability = ObservabilityStack(app, "observability", settings=settings, network=network)
        foundation = Foundation(settings=settings, network=network, observability=observability)
        self.data = DataStack(app, "data", foundation=foundation)
        self.user = Stack(app, "user")
        self.role = iam.Role(
            self.user, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )

    def allowed(self) -> dict[str, list[str]]:
        """Return what the role may do, and to what."""
        statements = only(Template.from_stack(self.user), "AWS::IAM::Policy")["PolicyDocument"]
        return {
            each["Action"]: [text(arn) for arn in listed(each["Resource"])]
            for each in statements["Statement"]
        }

    def value(self, token: str) -> str:
        return text(self.data.resolve(token))


def test_valkey_grant_and_variables_of_a_client() -> None:
    harness = DataStackHarness(EnvironmentSettings(name="mine"))
    harness.data.valkey.grant_connect(harness.role)
    variables = {
        name: harness.value(value) for name, value in harness.data.valkey.variables.items()
    }
    assert variables["AXON_VALKEY_URL"].startswith("rediss://{ValkeyGroup")
    assert variables["AXON_VALKEY_URL"].endswith(".PrimaryEndPoint.Address}:6379")
    assert variables["AXON_VALKEY_IAM_USER"] == "axon-mine"
    assert variables["AXON_VALKEY_IAM_CACHE"].startswith("{ValkeyGroup")
    (action, (group, user)) = next(iter(harness.allowed().items()))
    assert action == "elasticache:Connect"
    assert ":elasticache:" in group
    assert ":replicationgroup:{" in group
    assert user.startswith("{data:ExportsOutputFnGetAttValkeyUser")


def test_postgres_grant_and_variables_of_a_client() -> None:
    harness = DataStackHarness(EnvironmentSettings(name="mine"))
    harness.data.postgres.grant_connect(harness.role)
    variables = {
        name: harness.value(value) for name, value in harness.data.postgres.variables.items()
    }
    assert variables["AXON_POSTGRES_IAM"] == "true"
    dsn = variables["AXON_POSTGRES_DSN"]
    assert dsn.startswith("postgresql://axon_app@{PostgresInstance")
    assert dsn.endswith(".Endpoint.Address}:5432/axon?sslmode=require")
    (action, (user,)) = next(iter(harness.allowed().items()))
    assert action == "rds-db:connect"
    assert ":dbuser:{data:ExportsOutputFnGetAttPostgresInstance" in user
    assert user.endswith("}/axon_app")


def test_postgres_grant_and_variables_of_a_client_through_the_proxy() -> None:
    harness = DataStackHarness(load("prod"))
    harness.data.postgres.grant_connect(harness.role)
    dsn = harness.value(harness.data.postgres.variables["AXON_POSTGRES_DSN"])
    assert dsn.startswith("postgresql://axon_app@{PostgresProxy")
    assert dsn.endswith(":5432/axon?sslmode=verify-full&sslrootcert=system")
    (action, (user,)) = next(iter(harness.allowed().items()))
    assert action == "rds-db:connect"
    assert "PostgresProxy" in user
    assert user.endswith("/axon_app")
    owner = harness.value(harness.data.postgres.owner_variables["AXON_POSTGRES_DSN"])
    assert owner.startswith("postgresql://axon_owner@{PostgresInstance")


def test_postgres_grant_and_variables_of_the_owner() -> None:
    harness = DataStackHarness(EnvironmentSettings(name="mine"))
    harness.data.postgres.grant_owner(harness.role)
    variables = harness.data.postgres.owner_variables
    assert harness.value(variables["AXON_POSTGRES_SECRET_ARN"]).endswith(
        ".MasterUserSecret.SecretArn}"
    )
    assert harness.value(variables["AXON_POSTGRES_DSN"]).endswith("/axon?sslmode=require")
    allowed = harness.allowed()
    assert set(allowed) == {"kms:Decrypt", "secretsmanager:GetSecretValue"}
    assert all(len(arns) == 1 and arns[0].startswith("{data:") for arns in allowed.values())


# What stays, and what is watched.


def test_data_is_kept_in_prod_and_removed_in_dev(dev: Templates, prod: Templates) -> None:
    for kind in (
        "AWS::KMS::Key",
        "AWS::S3::Bucket",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::RDS::DBInstance",
        # What those use, which cannot be deleted beneath them.
        "AWS::ElastiCache::ParameterGroup",
        "AWS::ElastiCache::SubnetGroup",
        "AWS::ElastiCache::User",
        "AWS::ElastiCache::UserGroup",
        "AWS::RDS::DBParameterGroup",
    ):
        for templates, policy in ((dev, "Delete"), (prod, "Retain")):
            for resource in templates["data"].find_resources(kind).values():
                assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == policy


VALKEY_ALARMS = {"valkey-memory", "valkey-cpu", "valkey-connections", "valkey-refused-commands"}
POSTGRES_ALARMS = {"postgres-cpu", "postgres-memory", "postgres-connections", "postgres-storage"}


def alarms(template: Template, environment: str) -> dict[str, Properties]:
    return {
        alarm["AlarmName"].removeprefix(f"axon-{environment}-"): alarm
        for alarm in resources(template, "AWS::CloudWatch::Alarm").values()
    }


def test_data_alarms_are_those_documented(dev: Templates, prod: Templates) -> None:
    assert set(alarms(dev["data"], "dev")) == VALKEY_ALARMS | POSTGRES_ALARMS
    assert set(alarms(prod["data"], "prod")) == (
        VALKEY_ALARMS | POSTGRES_ALARMS | {"valkey-replication-lag"}
    )


def test_data_alarm_on_valkeys_memory_starts_where_turns_are_evicted(prod: Templates) -> None:
    alarm = alarms(prod["data"], "prod")["valkey-memory"]
    assert alarm["Threshold"] == EVICT_ABOVE * 100 == 70
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_data_alarms_watch_every_valkey_node(prod: Templates) -> None:
    metrics = alarms(prod["data"], "prod")["valkey-memory"]["Metrics"]
    dimensions = [
        {each["Name"]: each["Value"] for each in metric["MetricStat"]["Metric"]["Dimensions"]}
        for metric in metrics
        if "MetricStat" in metric
    ]
    assert [each["CacheClusterId"] for each in dimensions] == [
        "axon-prod-001",
        "axon-prod-002",
        "axon-prod-003",
    ]
    assert [each["Expression"] for each in metrics if "Expression" in each] == [
        "MAX([node1,node2,node3])"
    ]


def test_data_alarm_thresholds_follow_the_instance_type(dev: Templates, prod: Templates) -> None:
    for templates, name, connections in ((dev, "dev", 80), (prod, "prod", 640)):
        found = alarms(templates["data"], name)
        assert found["postgres-connections"]["Threshold"] == connections
        assert found["postgres-storage"]["ComparisonOperator"] == "LessThanOrEqualToThreshold"
        assert found["postgres-memory"]["ComparisonOperator"] == "LessThanOrEqualToThreshold"


@pytest.mark.parametrize(
    ("instance_type", "gib"),
    [
        ("db.t4g.micro", 1),
        ("db.t4g.medium", 4),
        ("db.m7g.large", 8),
        ("db.m7g.4xlarge", 64),
        ("db.r7g.xlarge", 32),
        ("db.r7g.2xlarge", 64),
    ],
)
def test_data_alarms_know_the_memory_of_instance_types(instance_type: str, gib: int) -> None:
    assert memory(instance_type) == gib
