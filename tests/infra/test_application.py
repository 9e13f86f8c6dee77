"""All stacks of an environment together: rules that hold for every template."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from axon.catalog import FUNCTIONS
from infra.settings.environment import load
from tests.infra.conftest import Synthesised, Templates
from tests.infra.support.templates import listed, resources, text
from tests.infra.support.variant_samples import synthesised_variant

ANYWHERE = ("0.0.0.0/0", "::/0")

INTERFACES = {
    *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"),
    *("ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
    "ec2:DescribeVpcAttribute",
}
# Actions that may be allowed on every resource, by the logical id of the policy or role.
ON_EVERYTHING: tuple[tuple[str, set[str], str], ...] = (
    ("", {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, "X-Ray has no resources"),
    ("ExecutionRole", {"ecr:GetAuthorizationToken"}, "a login to the registry as such"),
    (
        "",
        INTERFACES,
        "Lambda and Firehose make interfaces in the VPC, and take no narrower permission",
    ),
    (
        "WorkersInstances",
        {"ecs:DiscoverPollEndpoint"}
        | {"ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"},
        "the ECS agent; all but the first are bound to the cluster by a condition",
    ),
    (
        "Grafana",
        {"cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms"}
        | {"cloudwatch:DescribeAlarmsForMetric", "cloudwatch:GetMetricData"}
        | {"cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics"}
        | {"xray:BatchGetTraces", "xray:GetGroups", "xray:GetServiceGraph", "xray:GetTraceGraph"}
        | {"xray:GetTimeSeriesServiceStatistics", "xray:GetTraceSummaries"},
        "dashboards read metrics and traces, which have no resources",
    ),
)
MANAGED_POLICIES = {
    # Of the database's operating system, whose metrics RDS logs.
    "AmazonRDSEnhancedMonitoringRole",
    # Of API Gateway's account, which writes the logs of all its APIs.
    "AmazonAPIGatewayPushToCloudWatchLogs",
}
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::ElastiCache::ReplicationGroup": "ReplicationGroupId",
    "AWS::ElastiCache::User": "UserId",
    "AWS::ElastiCache::UserGroup": "UserGroupId",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBProxy": "DBProxyName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
DATABASE = "AWS::RDS::DBInstance"
# The role by which API Gateway logs, which an account has one of, for all its APIs.
ACCOUNT_WIDE = {"gateway AWS::ApiGateway::Account", "gateway AWS::IAM::Role"}
TAGGED = set(NAMES) - {"AWS::KMS::Alias"} | {"AWS::EC2::VPC", "AWS::KMS::Key", "AWS::IAM::Role"}


@pytest.fixture(params=["dev", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def synthesised(environment: str, request: pytest.FixtureRequest) -> Synthesised:
    result: Synthesised = request.getfixturevalue(f"{environment}_synthesised")
    return result


@pytest.fixture
def templates(synthesised: Synthesised) -> Templates:
    return synthesised.templates


def every(templates: Templates) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return all resources: stack and logical id, type, the resource."""
    for stack, template in templates.items():
        for name, resource in template.to_json()["Resources"].items():
            yield f"{stack}/{name}", resource["Type"], resource


def documents(properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return all policies in properties, whatever they are called."""
    for value in properties.values():
        for part in listed(value):
            if isinstance(part, dict):
                if "Statement" in part:
                    yield part
                else:
                    yield from documents(part)


def allowed(templates: Templates, *, identities: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return what policies allow: those of identities, or those of resources."""
    for name, kind, resource in every(templates):
        for document in documents(resource.get("Properties", {})):
            for statement in listed(document["Statement"]):
                if statement["Effect"] == "Allow" and identities is ("Principal" not in statement):
                    yield f"{name} ({kind})", statement


def test_application_has_eight_stacks(environment: str, synthesised: Synthesised) -> None:
    assert list(synthesised.templates) == [
        *("network", "observability", "data", "messaging", "gateway", "relay", "front"),
        "inference",
    ]


def test_application_has_no_findings(synthesised: Synthesised) -> None:
    assert synthesised.findings == []


def test_application_identities_have_permissions(templates: Templates) -> None:
    """The statements that the next tests inspect exist."""
    assert len(list(allowed(templates, identities=True))) > 30
    assert len(list(allowed(templates, identities=False))) > 10


def test_application_allows_no_wildcard_action_on_a_wildcard_resource(templates: Templates) -> None:
    for name, statement in allowed(templates, identities=True):
        assert not {"NotAction", "NotResource"} & set(statement), name
        actions = list(map(text, listed(statement["Action"])))
        everything = any(_is_everything(text(each)) for each in listed(statement["Resource"]))
        assert not (everything and any("*" in action for action in actions)), (name, actions)
        assert not any(action in ("*", "*:*") or action.endswith(":*") for action in actions), name


@pytest.mark.parametrize(
    ("resource", "everything"),
    [
        ("*", True),
        ("arn:aws:s3:::*", True),
        ("arn:{AWS::Partition}:sqs:{AWS::Region}:{AWS::AccountId}:*", True),
        ("arn:{AWS::Partition}:logs:*:*:*:*", True),
        ("arn:{AWS::Partition}:logs:*:*:log-group:/axon/dev/*", False),
        ("arn:aws:s3:::models/*", False),
        ("{Bucket.Arn}/*", False),
        ("{Key.Arn}", False),
    ],
)
def test_wildcard_detection_recognizes_every_resource(resource: str, everything: bool) -> None:
    assert _is_everything(resource) is everything


def test_application_has_a_reason_for_each_action_on_every_resource(templates: Templates) -> None:
    for name, statement in allowed(templates, identities=True):
        if any(_is_everything(text(each)) for each in listed(statement["Resource"])):
            for action in map(text, listed(statement["Action"])):
                reasons = [
                    reason
                    for whose, actions, reason in ON_EVERYTHING
                    if whose in name and action in actions
                ]
                assert reasons, f"{name}: {action} on every resource"


def test_application_uses_few_aws_managed_policies(templates: Templates) -> None:
    for name, kind, resource in every(templates):
        if kind == "AWS::IAM::Role":
            for arn in resource["Properties"].get("ManagedPolicyArns", []):
                assert text(arn).rpartition("/")[2] in MANAGED_POLICIES, name


def test_application_has_no_resource_open_to_everybody(templates: Templates) -> None:
    for name, statement in allowed(templates, identities=False):
        # A VPC endpoint's policy gives nobody anything: it narrows what may pass (test_network).
        if not name.endswith("(AWS::EC2::VPCEndpoint)"):
            assert statement["Principal"] not in ("*", {"AWS": "*"}), name


def test_application_exposes_only_the_load_balancer_to_the_internet(templates: Templates) -> None:
    for name, kind, resource in every(templates):
        for direction, rule in _rules(kind, resource["Properties"]):
            if not set(ANYWHERE) & {str(rule.get("CidrIp")), str(rule.get("CidrIpv6"))}:
                continue
            ports = (rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
            if direction == "Egress":
                assert ports == ("tcp", 443, 443), name
            else:
                assert name.startswith("network/FrontBalancerGroup"), name
                assert ports == ("tcp", 443, 443), name


def test_application_has_no_other_public_resource(environment: str, templates: Templates) -> None:
    facing = []
    for name, kind, resource in every(templates):
        properties = resource.get("Properties", {})
        assert properties.get("PubliclyAccessible") is not True, name
        network = properties.get("NetworkConfiguration", {})
        assigned = network.get("AwsvpcConfiguration", {}).get("AssignPublicIp", "DISABLED")
        assert assigned == "DISABLED", name
        if properties.get("Scheme") == "internet-facing":
            facing.append(kind)
        if kind == "AWS::Lambda::Url":
            facing.append(kind)
    home = {"dev": "AWS::Lambda::Url", "prod": "AWS::ElasticLoadBalancingV2::LoadBalancer"}
    assert facing == [home[environment]]


def test_application_encrypts_everything_that_stores_data(templates: Templates) -> None:
    for name, kind, resource in every(templates):
        properties = resource.get("Properties", {})
        match kind:
            case "AWS::SQS::Queue" | "AWS::SNS::Topic":
                assert properties["KmsMasterKeyId"], name
            case "AWS::S3::Bucket":
                assert properties["BucketEncryption"], name
                assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name


def test_application_queues_have_a_dead_letter_queue_or_are_one(templates: Templates) -> None:
    for template in templates.values():
        queues = resources(template, "AWS::SQS::Queue")
        feeding = {
            name: queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            for name, queue in queues.items()
            if "RedrivePolicy" in queue
        }
        parked = {
            name
            for name, queue in queues.items()
            if queue.get("RedriveAllowPolicy") == {"redrivePermission": "denyAll"}
        }
        assert feeding.keys() | feeding.values() | parked == queues.keys()
        # Nothing is fed by two, and none of them is fed by what it feeds.
        assert len(set(feeding.values())) == len(feeding)
        assert not feeding.keys() & feeding.values()


def test_application_functions_log_to_a_group_that_is_removed_with_its_stack(
    environment: str, templates: Templates
) -> None:
    days = load(environment).observability.log_retention_days
    assert_every_function_logs_to_a_group(templates, days)


def test_application_functions_of_a_removed_log_domain_do_so_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    variant = synthesised_variant(tmp_path_factory)
    assert resources(variant.templates["observability"], "Custom::S3AutoDeleteObjects")
    assert_every_function_logs_to_a_group(variant.templates, 7)


def assert_every_function_logs_to_a_group(templates: Templates, days: int) -> None:
    """A group of its own and of this stack, since nothing deletes one that Lambda makes itself."""
    count = 0
    for stack, template in templates.items():
        groups = template.find_resources("AWS::Logs::LogGroup")
        for name, function in resources(template, "AWS::Lambda::Function").items():
            count += 1
            group = groups[function["LoggingConfig"]["LogGroup"]["Ref"]]
            assert group["Properties"]["RetentionInDays"] == days, f"{stack}/{name}"
            assert group["DeletionPolicy"] == "Delete", f"{stack}/{name}"
    assert count > len(FUNCTIONS)


def test_application_buckets_queues_and_topics_require_tls(templates: Templates) -> None:
    refusing = {
        text(of)
        for template in templates.values()
        for kind, key in (
            ("AWS::S3::BucketPolicy", "Bucket"),
            ("AWS::SQS::QueuePolicy", "Queues"),
            ("AWS::SNS::TopicPolicy", "Topics"),
        )
        for policy in resources(template, kind).values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for of in listed(policy[key])
    }
    for name, kind, _ in every(templates):
        if kind in ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"):
            assert f"{{{name.partition('/')[2]}}}" in refusing, name


def test_application_resource_names_follow_the_environment(
    environment: str, templates: Templates
) -> None:
    # What has no name of its own gets one from CloudFormation that begins with its stack's.
    names = [
        text(resource["Properties"][NAMES[kind]])
        for _, kind, resource in every(templates)
        if NAMES.get(kind) in resource.get("Properties", {})
    ]
    assert len(names) > 50
    for name in names:
        assert f"axon-{environment}" in name or f"/axon/{environment}/" in name


def test_application_resources_have_the_tags_of_the_environment(
    environment: str, templates: Templates
) -> None:
    wanted = {"axon:environment": environment, "environment": environment}
    for name, kind, resource in every(templates):
        tags = resource.get("Properties", {}).get("Tags")
        if kind in TAGGED and "CustomResourceProvider" not in name:  # which CDK does not tag
            assert tags, name
        if isinstance(tags, list):
            found = {tag["Key"]: tag["Value"] for tag in tags}
            assert wanted.items() <= found.items(), name


def kept(templates: Templates) -> set[str]:
    """Return what stays when its stack goes: stack and type."""
    return {
        f"{name.partition('/')[0]} {kind}"
        for name, kind, resource in every(templates)
        # A database leaves a snapshot by default.
        if resource.get("DeletionPolicy", "Snapshot" if kind == DATABASE else "Delete") != "Delete"
    }


def test_application_of_dev_leaves_nothing_behind(dev: Templates) -> None:
    assert kept(dev) == ACCOUNT_WIDE


def test_application_of_prod_keeps_its_data(prod: Templates) -> None:
    assert kept(prod) == ACCOUNT_WIDE | {
        "observability AWS::APS::Workspace",
        "observability AWS::EC2::SecurityGroup",
        "observability AWS::KMS::Key",
        "observability AWS::OpenSearchService::Domain",
        "observability AWS::S3::Bucket",
        "data AWS::ElastiCache::ParameterGroup",
        "data AWS::ElastiCache::ReplicationGroup",
        "data AWS::ElastiCache::SubnetGroup",
        "data AWS::ElastiCache::User",
        "data AWS::ElastiCache::UserGroup",
        "data AWS::KMS::Key",
        "data AWS::RDS::DBInstance",
        "data AWS::RDS::DBParameterGroup",
        "data AWS::RDS::DBSubnetGroup",
        "data AWS::S3::Bucket",
        "messaging AWS::SQS::Queue",
    }


def _is_everything(resource: str) -> bool:
    """Return whether an ARN, or a reference to one, names all resources of a service or more."""
    parts = re.sub(r"\{[^}]*\}", "x", resource).split(":", 5)
    return resource == "*" or (parts[0] == "arn" and parts[-1] in ("*", "*:*"))


def _rules(kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for direction in ("Ingress", "Egress"):
        if kind == f"AWS::EC2::SecurityGroup{direction}":
            yield direction, dict(properties)
        if kind == "AWS::EC2::SecurityGroup":
            for rule in properties.get(f"SecurityGroup{direction}", []):
                yield direction, rule
