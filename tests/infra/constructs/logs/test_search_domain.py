"""The log domain: where it is, how it is encrypted, and who may use it."""

import json
import re

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Templates
from tests.infra.support.observability_harness import named, stack
from tests.infra.support.templates import only, resources, text


@pytest.fixture
def full(prod: Templates) -> Template:
    return prod["observability"]


def test_search_domain_is_in_the_vpc_over_three_zones(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    subnets = domain["VPCOptions"]["SubnetIds"]
    assert len({text(subnet) for subnet in subnets}) == 3
    assert all("isolated" in text(subnet) for subnet in subnets)
    cluster = domain["ClusterConfig"]
    assert cluster["InstanceType"] == "r7g.large.search"
    assert cluster["InstanceCount"] == 3
    assert cluster["ZoneAwarenessEnabled"] is True
    assert cluster["ZoneAwarenessConfig"] == {"AvailabilityZoneCount": 3}


def test_search_domain_is_encrypted_at_rest_and_in_transit(full: Template) -> None:
    domain = only(full, "AWS::OpenSearchService::Domain")
    key, _ = named(full, "AWS::KMS::Key", "LogKey")
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True, "KmsKeyId": {"Ref": key}}
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    endpoint = domain["DomainEndpointOptions"]
    assert endpoint["EnforceHTTPS"] is True
    assert endpoint["TLSSecurityPolicy"].startswith("Policy-Min-TLS-1-2-")


def test_search_domain_admits_only_three_roles(full: Template) -> None:
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


def test_search_domain_is_reached_by_its_clients_only(full: Template) -> None:
    group, _ = named(full, "AWS::EC2::SecurityGroup", "Domain")
    clients, _ = named(full, "AWS::EC2::SecurityGroup", "Clients")
    rule = only(full, "AWS::EC2::SecurityGroupIngress")
    assert text(rule["GroupId"]) == f"{{{group}.GroupId}}"
    assert text(rule["SourceSecurityGroupId"]) == f"{{{clients}.GroupId}}"
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443)


def test_search_domain_logs_to_groups_that_it_may_write_to(full: Template) -> None:
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


def test_search_domain_is_prepared_when_it_changes(full: Template) -> None:
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


@pytest.mark.parametrize(("nodes", "zones", "replicas"), [(1, 1, "0"), (2, 2, "1"), (6, 3, "1")])
def test_search_domain_spreads_its_nodes_over_the_zones(
    nodes: int, zones: int, replicas: str
) -> None:
    built, _ = stack(opensearch_instance_type="t3.small.search", opensearch_nodes=nodes)
    template = Template.from_stack(built)
    domain = only(template, "AWS::OpenSearchService::Domain")
    assert len(domain["VPCOptions"]["SubnetIds"]) == zones
    assert domain["ClusterConfig"]["ZoneAwarenessEnabled"] is (zones > 1)
    _, function = named(template, "AWS::Lambda::Function", "LogsPrepare")
    assert function["Environment"]["Variables"]["AXON_REPLICAS"] == replicas
