"""The observability stack: who is notified, what is retained, and who may read and write it."""

import json
import re

import pytest
import yaml
from aws_cdk.assertions import Template

from infra.constructs.observability.prometheus import RULES
from tests.infra.conftest import Templates
from tests.infra.support.observability_harness import allowed, named, stack
from tests.infra.support.templates import listed, only, resources, text

KINDS_OF_PROD = {
    "AWS::OpenSearchService::Domain",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Grafana::Workspace",
    "AWS::EC2::SecurityGroup",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
}


@pytest.fixture
def small(dev: Templates) -> Template:
    return dev["observability"]


@pytest.fixture
def full(prod: Templates) -> Template:
    return prod["observability"]


def test_observability_of_dev_has_only_what_is_free_while_idle(small: Template) -> None:
    kinds = {resource["Type"] for resource in small.to_json()["Resources"].values()}
    assert kinds == {
        "AWS::KMS::Key",
        "AWS::KMS::Alias",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::APS::Workspace",
        "AWS::APS::RuleGroupsNamespace",
        "AWS::Logs::LogGroup",
    }


def test_observability_of_prod_has_all_that_its_settings_ask_for(full: Template) -> None:
    kinds = {resource["Type"] for resource in full.to_json()["Resources"].values()}
    assert kinds >= KINDS_OF_PROD


def test_alarm_topic_is_encrypted_with_a_key_that_its_publishers_may_use(small: Template) -> None:
    topic = only(small, "AWS::SNS::Topic")
    name, key = named(small, "AWS::KMS::Key", "Alarm")
    assert text(topic["KmsMasterKeyId"]) == f"{{{name}.Arn}}"
    assert key["EnableKeyRotation"] is True
    users = {
        statement["Principal"]["Service"]: set(statement["Action"])
        for statement in key["KeyPolicy"]["Statement"]
        if "Service" in statement["Principal"]
    }
    use = {"kms:Decrypt", "kms:GenerateDataKey*"}
    assert users == {"cloudwatch.amazonaws.com": use, "aps.amazonaws.com": use}


def test_alarm_topic_takes_tls_only_and_from_this_account_only(small: Template) -> None:
    policy = only(small, "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    (refused,) = (statement for statement in policy if statement["Effect"] == "Deny")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    publishers = {
        statement["Principal"]["Service"]: statement
        for statement in policy
        if statement["Effect"] == "Allow"
    }
    assert set(publishers) == {"cloudwatch.amazonaws.com", "aps.amazonaws.com"}
    for statement in publishers.values():
        assert "sns:Publish" in listed(statement["Action"])
        account = statement["Condition"]["StringEquals"]["aws:SourceAccount"]
        assert account == {"Ref": "AWS::AccountId"}
    alarms = publishers["cloudwatch.amazonaws.com"]["Condition"]["ArnLike"]["aws:SourceArn"]
    assert text(alarms).endswith(":alarm:axon-dev-*")


def test_alarm_topic_subscribes_the_address_of_the_settings(small: Template) -> None:
    built, _ = stack(alarm_email="on-call@example.com", prometheus=False)
    subscription = only(Template.from_stack(built), "AWS::SNS::Subscription")
    assert subscription["Protocol"] == "email"
    assert subscription["Endpoint"] == "on-call@example.com"
    small.resource_count_is("AWS::SNS::Subscription", 0)


def test_alarm_topic_admits_prometheus_only_where_it_exists() -> None:
    built, _ = stack(prometheus=False)
    template = Template.from_stack(built)
    template.resource_count_is("AWS::APS::Workspace", 0)
    assert "aps.amazonaws.com" not in json.dumps(template.to_json())
    assert built.prometheus is None


def test_prometheus_has_the_rules_and_notifies_the_topic(small: Template) -> None:
    name, workspace = named(small, "AWS::APS::Workspace", "Prometheus")
    rules = only(small, "AWS::APS::RuleGroupsNamespace")
    assert text(rules["Workspace"]) == f"{{{name}.Arn}}"
    assert rules["Data"] == RULES.read_text()
    # What only a deployment knows stands in braces, which is a mapping to YAML.
    definition = yaml.safe_load(text(workspace["AlertManagerDefinition"]))
    config = yaml.safe_load(definition["alertmanager_config"])
    (receiver,) = config["receivers"]
    (sns,) = receiver["sns_configs"]
    assert config["route"]["receiver"] == receiver["name"]
    assert sns["sigv4"] == {"region": {"AWS::Region": None}}
    assert [*sns["topic_arn"]] == [*resources(small, "AWS::SNS::Topic")]
    assert sns["subject"] == "{{ .Status }}: {{ .CommonLabels.alertname }}"


def test_prometheus_logs_where_the_delivery_service_may_write(small: Template) -> None:
    (group,) = resources(small, "AWS::Logs::LogGroup").values()
    assert group["LogGroupName"] == "/aws/vendedlogs/axon/dev/prometheus"
    assert group["RetentionInDays"] == 7


def test_grafana_may_only_read(full: Template) -> None:
    workspace = only(full, "AWS::Grafana::Workspace")
    assert workspace["AuthenticationProviders"] == ["AWS_SSO"]
    assert workspace["PermissionType"] == "CUSTOMER_MANAGED"
    assert set(workspace["DataSources"]) == {"PROMETHEUS", "CLOUDWATCH", "XRAY"}
    assert workspace["NotificationDestinations"] == ["SNS"]
    rights = allowed(full, "GrafanaRole")
    writes = {
        action
        for action in rights
        if not re.match(r"\w+:(BatchGet|Get|List|Describe|Query)", action)
    }
    assert writes == {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey*"}
    assert "*" not in rights["aps:QueryMetrics"]
    assert "*" not in rights["sns:Publish"]


def test_grafana_alone_may_assume_its_role(full: Template) -> None:
    _, role = named(full, "AWS::IAM::Role", "Grafana")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "grafana.amazonaws.com"}
    source = statement["Condition"]["StringLike"]["aws:SourceArn"]
    assert text(source).endswith(":/workspaces/*")
    assert "aws:SourceAccount" in statement["Condition"]["StringEquals"]


def test_grafana_without_prometheus_reads_the_other_sources() -> None:
    built, _ = stack(prometheus=False, grafana=True)
    template = Template.from_stack(built)
    assert set(only(template, "AWS::Grafana::Workspace")["DataSources"]) == {"CLOUDWATCH", "XRAY"}
    assert not any(action.startswith("aps:") for action in allowed(template, "GrafanaRole"))


def removal(template: Template, kind: str, part: str = "") -> str:
    (policy,) = (
        resource.get("DeletionPolicy", "Delete")
        for name, resource in template.find_resources(kind).items()
        if part in name
    )
    return str(policy)


KEPT = [
    ("AWS::OpenSearchService::Domain", ""),
    ("AWS::S3::Bucket", "Refused"),
    ("AWS::KMS::Key", "LogKey"),
    ("AWS::APS::Workspace", ""),
]


@pytest.mark.parametrize(("kind", "part"), KEPT)
def test_observability_keeps_data_of_a_protected_environment(
    full: Template, kind: str, part: str
) -> None:
    assert removal(full, kind, part) == "Retain"


def test_observability_leaves_nothing_of_an_unprotected_environment() -> None:
    built, _ = stack(opensearch_instance_type="t3.small.search", grafana=True)
    template = Template.from_stack(built)
    for kind, part in KEPT:
        assert removal(template, kind, part) == "Delete"
    template.resource_count_is("Custom::S3AutoDeleteObjects", 1)
    assert not [
        name
        for name, resource in template.to_json()["Resources"].items()
        if resource.get("DeletionPolicy") == "Retain"
    ]
