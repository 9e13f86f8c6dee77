"""The log domain, and the way of the logs to it."""

import json
import re

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Templates
from tests.infra.observed import allowed, named, only, stack
from tests.infra.templates import resources, text

pytestmark = pytest.mark.xdist_group("infra")


@pytest.fixture
def full(prod: Templates) -> Template:
    return prod["observability"]


def test_the_domain_is_within_the_vpc_over_three_zones(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    subnets = domain["VPCOptions"]["SubnetIds"]
    assert len({text(subnet) for subnet in subnets}) == 3
    assert all("isolated" in text(subnet) for subnet in subnets)
    cluster = domain["ClusterConfig"]
    assert cluster["InstanceType"] == "r7g.large.search"
    assert cluster["InstanceCount"] == 3
    assert cluster["ZoneAwarenessEnabled"] is True
    assert cluster["ZoneAwarenessConfig"] == {"AvailabilityZoneCount": 3}


def test_the_domain_is_encrypted_at_rest_between_nodes_and_on_the_way(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    key, _ = named(full, "AWS::KMS::Key", "LogKey")
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True, "KmsKeyId": {"Ref": key}}
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    endpoint = domain["DomainEndpointOptions"]
    assert endpoint["EnforceHTTPS"] is True
    assert endpoint["TLSSecurityPolicy"].startswith("Policy-Min-TLS-1-2-")


def test_only_three_roles_may_use_the_domain(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    (statement,) = domain["AccessPolicies"]["Statement"]
    roles = {text(role) for role in statement["Principal"]["AWS"]}
    assert {re.sub(r"[0-9A-F]{8}\.Arn", "", role.strip("{}")) for role in roles} == {
        "LogsPrepareRole",
        "LogsLogWriter",
        "LogsLogReader",
    }
    assert not any("*" in action for action in statement["Action"])
    assert text(statement["Resource"]).endswith(":domain/axon-prod-logs/*")
    security = domain["AdvancedSecurityOptions"]
    assert security["InternalUserDatabaseEnabled"] is False
    assert "PrepareRole" in text(security["MasterUserOptions"]["MasterUserARN"])


def test_only_clients_reach_the_domain(full: Template) -> None:
    group, _ = named(full, "AWS::EC2::SecurityGroup", "Domain")
    clients, _ = named(full, "AWS::EC2::SecurityGroup", "Clients")
    rule = only(full, "AWS::EC2::SecurityGroupIngress")
    assert text(rule["GroupId"]) == f"{{{group}.GroupId}}"
    assert text(rule["SourceSecurityGroupId"]) == f"{{{clients}.GroupId}}"
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443)


def test_the_domain_logs_to_groups_that_it_may_write_to(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    published = {
        kind: text(log["CloudWatchLogsLogGroupArn"])
        for kind, log in domain["LogPublishingOptions"].items()
        if log["Enabled"]
    }
    assert set(published) == {
        "AUDIT_LOGS",
        "ES_APPLICATION_LOGS",
        "INDEX_SLOW_LOGS",
        "SEARCH_SLOW_LOGS",
    }
    policy = only(full, "AWS::Logs::ResourcePolicy")
    (statement,) = json.loads(text(policy["PolicyDocument"]))["Statement"]
    assert statement["Principal"] == {"Service": "es.amazonaws.com"}
    assert set(statement["Resource"]) == set(published.values())
    (needs,) = (
        resource["DependsOn"]
        for resource in full.find_resources("AWS::OpenSearchService::Domain").values()
    )
    assert set(needs) >= set(resources(full, "AWS::Logs::ResourcePolicy"))


def test_the_domain_is_prepared_when_it_changes(full: Template) -> None:
    _, function = named(full, "AWS::Lambda::Function", "LogsPrepare")
    variables = function["Environment"]["Variables"]
    assert function["Handler"] == "prepare_domain.handler"
    assert "DomainEndpoint" in text(variables["AXON_DOMAIN_HOST"])
    assert "Writer" in text(variables["AXON_WRITER_ARN"])
    assert variables["AXON_RETENTION_DAYS"] == "90"
    assert variables["AXON_REPLICAS"] == "1"
    assert "Clients" in text(function["VpcConfig"]["SecurityGroupIds"][0])
    (trigger,) = full.find_resources("Custom::Trigger").values()
    assert set(trigger["DependsOn"]) >= set(resources(full, "AWS::OpenSearchService::Domain"))


def test_firehose_delivers_within_the_vpc_and_keeps_what_is_refused(full: Template) -> None:
    stream = only(full, "AWS::KinesisFirehose::DeliveryStream")
    to = stream["AmazonopensearchserviceDestinationConfiguration"]
    assert "Domain" in text(to["DomainARN"])
    assert (to["IndexName"], to["IndexRotationPeriod"]) == ("axon-logs", "OneDay")
    assert len(to["VpcConfiguration"]["SubnetIds"]) == 3
    assert "Clients" in text(to["VpcConfiguration"]["SecurityGroupIds"][0])
    assert to["S3BackupMode"] == "FailedDocumentsOnly"
    assert "Refused" in text(to["S3Configuration"]["BucketARN"])
    assert to["CloudWatchLoggingOptions"]["Enabled"] is True
    encryption = stream["DeliveryStreamEncryptionConfigurationInput"]
    assert encryption["KeyType"] == "CUSTOMER_MANAGED_CMK"


def test_firehose_comes_after_its_permissions_and_the_prepared_domain(full: Template) -> None:
    (stream,) = full.find_resources("AWS::KinesisFirehose::DeliveryStream").values()
    policies = {name for name in resources(full, "AWS::IAM::Policy") if "ForwardingWriter" in name}
    assert policies
    assert set(stream["DependsOn"]) >= policies | set(full.find_resources("Custom::Trigger"))


def test_firehose_may_write_to_its_own_things_only(full: Template) -> None:
    rights = allowed(full, "LogWriter")
    free = {action for action, where in rights.items() if "*" in where}
    assert free == {
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcAttribute",
        "ec2:DescribeVpcs",
    }
    assert all("Refused" in where for where in rights["s3:PutObject"])
    assert all("Domain" in where for where in rights["es:ESHttpPut"])
    assert not any("*" in action for action in rights)


def test_what_is_refused_is_kept_private_and_for_as_long_as_logs(full: Template) -> None:
    name, bucket = named(full, "AWS::S3::Bucket", "Refused")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 90
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (policy,) = resources(full, "AWS::S3::BucketPolicy").values()
    assert policy["Bucket"] == {"Ref": name}
    assert {
        "Bool": {"aws:SecureTransport": "false"},
    } in [statement.get("Condition") for statement in policy["PolicyDocument"]["Statement"]]


def test_log_groups_of_the_environment_alone_may_invoke_the_splitter(full: Template) -> None:
    permission = only(full, "AWS::Lambda::Permission")
    assert permission["Principal"] == "logs.amazonaws.com"
    assert text(permission["SourceArn"]).endswith(":log-group:/axon/prod/*")
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    stream, _ = named(full, "AWS::KinesisFirehose::DeliveryStream", "Forwarding")
    rights = allowed(full, "Splitter")
    assert rights["firehose:PutRecordBatch"] == [f"{{{stream}.Arn}}"]
    assert set(rights) == {
        "firehose:PutRecordBatch",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_watching_a_log_group_makes_a_filter_beside_it() -> None:
    _, other = stack(opensearch_instance_type="t3.small.search")
    template = Template.from_stack(other)
    logs, _ = named(template, "AWS::Logs::LogGroup", "Logs")
    subscription = only(template, "AWS::Logs::SubscriptionFilter")
    assert subscription["LogGroupName"] == {"Ref": logs}
    assert "Splitter" in text(subscription["DestinationArn"])
    assert subscription["FilterPattern"] == ""
    template.resource_count_is("AWS::Lambda::Permission", 0)


def test_watching_a_log_group_does_nothing_without_a_domain() -> None:
    built, other = stack()
    Template.from_stack(other).resource_count_is("AWS::Logs::SubscriptionFilter", 0)
    Template.from_stack(built).resource_count_is("AWS::KinesisFirehose::DeliveryStream", 0)


def test_nothing_that_the_forwarding_logs_is_forwarded(full: Template) -> None:
    full.resource_count_is("AWS::Logs::SubscriptionFilter", 0)


@pytest.mark.parametrize(("nodes", "zones", "replicas"), [(1, 1, "0"), (2, 2, "1"), (6, 3, "1")])
def test_nodes_are_spread_over_as_many_zones_as_there_are(
    nodes: int, zones: int, replicas: str
) -> None:
    built, _ = stack(opensearch_instance_type="t3.small.search", opensearch_nodes=nodes)
    template = Template.from_stack(built)
    domain = only(template, "AWS::OpenSearchService::Domain")
    assert len(domain["VPCOptions"]["SubnetIds"]) == zones
    assert domain["ClusterConfig"]["ZoneAwarenessEnabled"] is (zones > 1)
    _, function = named(template, "AWS::Lambda::Function", "LogsPrepare")
    assert function["Environment"]["Variables"]["AXON_REPLICAS"] == replicas
