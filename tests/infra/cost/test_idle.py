"""`axon cost` counts what the stacks make: no type is forgotten, and no number is another."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import infra
from infra.cost.alarms import alarm_metrics
from infra.cost.assumptions import Assumptions
from infra.cost.idle import SCRAPE_S, SEARCH_DISK_GB, idle
from infra.cost.prices import load as load_prices
from infra.cost.workers import DISK_MIB_S
from infra.settings.environment import BalancedFront, Relay
from infra.settings.environment import load as load_settings
from tests.infra.conftest import Templates
from tests.infra.support.templates import only

HOURS = 730

# What costs money while it is idle, and the beginning of the line that counts it.
COUNTED = {
    "AWS::APS::Workspace": "Prometheus",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "Alarms",
    "AWS::AutoScaling::AutoScalingGroup": "Inference workers on ",
    "AWS::CloudWatch::Alarm": "Alarms",
    "AWS::EC2::EIP": "Public IPv4 addresses",
    "AWS::EC2::FlowLog": "Logs",
    "AWS::EC2::NatGateway": "NAT gateways",
    "AWS::ECS::CapacityProvider": "Alarms",
    "AWS::ECS::Cluster": "Metrics of running services",
    "AWS::ECS::Service": "Relays on Fargate",
    "AWS::ElastiCache::ReplicationGroup": "Valkey nodes",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Load balancer",
    "AWS::Grafana::Workspace": "Grafana",
    "AWS::KMS::Key": "KMS keys",
    "AWS::KinesisFirehose::DeliveryStream": "Firehose's way into the VPC",
    "AWS::Lambda::EventSourceMapping": "Lambda's polling",
    "AWS::Logs::LogGroup": "Logs",
    "AWS::OpenSearchService::Domain": "OpenSearch nodes",
    "AWS::RDS::DBInstance": "PostgreSQL",
    "AWS::RDS::DBProxy": "RDS Proxy",
}

# What costs nothing by being there: rights and wiring, and what is paid for by use.
FREE = {
    "AWS::APS::RuleGroupsNamespace",
    "AWS::ApiGateway::Account",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::CertificateManager::Certificate",  # public ones
    "AWS::EC2::InternetGateway",
    "AWS::EC2::LaunchTemplate",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",  # gateway endpoints only: see below
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::ECS::TaskDefinition",
    "AWS::ElastiCache::ParameterGroup",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::ElastiCache::User",
    "AWS::ElastiCache::UserGroup",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::Events::Rule",  # schedules of the default bus
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Lambda::Version",
    "AWS::Logs::LogStream",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::ResourcePolicy",
    "AWS::Logs::SubscriptionFilter",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::Route53::RecordSet",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "Custom::S3AutoDeleteObjects",
    "Custom::Trigger",
}

Resources = dict[str, list[dict[str, Any]]]


class BilledEnvironment:
    """One environment: what its templates make, and what its bill has."""

    def __init__(self, name: str, templates: Templates) -> None:
        self.settings = load_settings(name)
        self.templates = templates
        bill = idle(self.settings, load_prices("us-east-1"), Assumptions())
        assert bill.missing == []
        self.lines = {line.what: line.quantity for line in bill.lines}

    def resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for template in self.templates.values():
            for resource in template.to_json().get("Resources", {}).values():
                yield resource["Type"], resource.get("Properties", {})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [properties for each, properties in self.resources() if each == kind]

    def quantity(self, beginning: str) -> float:
        """Sum the lines that begin so."""
        return sum(number for what, number in self.lines.items() if what.startswith(beginning))


@pytest.fixture(params=["dev", "prod"])
def environment(request: pytest.FixtureRequest) -> BilledEnvironment:
    return BilledEnvironment(request.param, request.getfixturevalue(request.param))


def test_idle_bill_counts_every_resource_type_that_is_not_free(
    environment: BilledEnvironment,
) -> None:
    kinds = {kind for kind, _ in environment.resources()}
    assert kinds - set(COUNTED) - FREE == set()
    assert set(COUNTED) & FREE == set()
    for kind in kinds & set(COUNTED):
        assert any(what.startswith(COUNTED[kind]) for what in environment.lines), kind


def test_idle_bill_counts_nothing_that_does_not_exist(environment: BilledEnvironment) -> None:
    kinds = {kind for kind, _ in environment.resources()}
    for kind, beginning in COUNTED.items():
        others = {other for other, line in COUNTED.items() if line == beginning}
        if not others & kinds and not beginning.startswith("Inference"):
            assert not any(what.startswith(beginning) for what in environment.lines), kind


def metrics(alarm: Mapping[str, Any]) -> int:
    if "Metrics" not in alarm:
        return 1
    return sum("MetricStat" in query for query in alarm["Metrics"])


def scaling_metrics(policy: Mapping[str, Any]) -> int:
    """Return the metrics of the alarms that a policy makes: one alarm up, one down."""
    if policy["PolicyType"] != "TargetTrackingScaling":
        return 0  # its alarm is in the template
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    queries = configuration.get("CustomizedMetricSpecification", {}).get("Metrics")
    return 2 * (sum("MetricStat" in query for query in queries) if queries else 1)


def balancer_addresses(environment: BilledEnvironment) -> int:
    balancers = environment.of("AWS::ElasticLoadBalancingV2::LoadBalancer")
    return sum(len(balancer["Subnets"]) for balancer in balancers)


NUMBERS: dict[str, Callable[[BilledEnvironment], float]] = {
    "NAT gateways": lambda it: HOURS * len(it.of("AWS::EC2::NatGateway")),
    "Load balancer": lambda it: HOURS * len(it.of("AWS::ElasticLoadBalancingV2::LoadBalancer")),
    "Public IPv4 addresses": lambda it: (
        HOURS * (len(it.of("AWS::EC2::EIP")) + balancer_addresses(it))
    ),
    "Valkey nodes": lambda it: (
        HOURS
        * sum(group["NumCacheClusters"] for group in it.of("AWS::ElastiCache::ReplicationGroup"))
    ),
    "PostgreSQL storage": lambda it: sum(
        int(instance["AllocatedStorage"]) for instance in it.of("AWS::RDS::DBInstance")
    ),
    "Secret": lambda it: (
        len(it.of("AWS::SecretsManager::Secret"))
        + sum(bool(each.get("ManageMasterUserPassword")) for each in it.of("AWS::RDS::DBInstance"))
    ),
    "KMS key": lambda it: len(it.of("AWS::KMS::Key")),
    "Alarms": lambda it: (
        sum(map(metrics, it.of("AWS::CloudWatch::Alarm")))
        + sum(map(scaling_metrics, it.of("AWS::ApplicationAutoScaling::ScalingPolicy")))
        + 2 * len(it.of("AWS::ECS::CapacityProvider"))
    ),
}


@pytest.mark.parametrize("line", NUMBERS)
def test_idle_bill_quantities_match_the_templates(
    environment: BilledEnvironment, line: str
) -> None:
    number = NUMBERS[line](environment)
    assert environment.quantity(line) == number
    # In dev the front is a function, which costs nothing while idle.
    assert number > 0 or (line, environment.settings.name) == ("Load balancer", "dev")


def test_idle_bill_has_the_proxy_where_there_is_one(environment: BilledEnvironment) -> None:
    proxies = len(environment.of("AWS::RDS::DBProxy"))
    assert ("RDS Proxy" in environment.lines) == (proxies == 1)


def test_idle_bill_has_the_standby_where_there_is_one(environment: BilledEnvironment) -> None:
    (instance,) = environment.of("AWS::RDS::DBInstance")
    (line,) = [what for what in environment.lines if what.startswith("PostgreSQL (")]
    assert ("standby" in line) == bool(instance["MultiAZ"])


def test_idle_bill_relays_and_fronts_are_as_large_as_their_tasks(
    environment: BilledEnvironment,
) -> None:
    settings = environment.settings
    services: dict[str, Relay | BalancedFront] = {"relay": settings.relay}
    if isinstance(settings.front, BalancedFront):
        services["front"] = settings.front
    for name, service in services.items():
        template = environment.templates[name]
        task = only(template, "AWS::ECS::TaskDefinition")
        assert task["Family"] == f"axon-{settings.name}-{name}"
        assert (int(task["Cpu"]), int(task["Memory"])) == (service.cpu, service.memory_mb)
        assert (
            task["RuntimePlatform"]["CpuArchitecture"] == {"arm64": "ARM64"}[service.architecture]
        )
        target = only(template, "AWS::ApplicationAutoScaling::ScalableTarget")
        bounds = (target["MinCapacity"], target["MaxCapacity"])
        assert bounds == (service.tasks, service.max_tasks)


def test_idle_bill_has_a_polling_line_for_each_event_source(environment: BilledEnvironment) -> None:
    mappings = environment.of("AWS::Lambda::EventSourceMapping")
    lines = [what for what in environment.lines if what.startswith("Lambda's polling")]
    assert len(lines) == len(mappings)


def test_idle_bill_leaves_out_only_endpoints_that_are_free(environment: BilledEnvironment) -> None:
    for endpoint in environment.of("AWS::EC2::VPCEndpoint"):
        assert endpoint.get("VpcEndpointType", "Gateway") == "Gateway"


def test_idle_bill_assumes_the_cheaper_container_insights(environment: BilledEnvironment) -> None:
    for cluster in environment.of("AWS::ECS::Cluster"):
        assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]


def test_idle_bill_has_the_log_domain_and_firehose(prod: Templates) -> None:
    environment = BilledEnvironment("prod", prod)
    (domain,) = environment.of("AWS::OpenSearchService::Domain")
    nodes = domain["ClusterConfig"]["InstanceCount"]
    assert environment.quantity("OpenSearch nodes") == HOURS * nodes
    assert domain["EBSOptions"]["VolumeSize"] == SEARCH_DISK_GB
    assert not domain["ClusterConfig"]["DedicatedMasterEnabled"]
    (stream,) = environment.of("AWS::KinesisFirehose::DeliveryStream")
    place = stream["AmazonopensearchserviceDestinationConfiguration"]["VpcConfiguration"]
    assert environment.quantity("Firehose's way") == HOURS * len(place["SubnetIds"])


def test_idle_bill_has_the_throughput_of_gpu_disks(prod: Templates) -> None:
    (template,) = BilledEnvironment("prod", prod).of("AWS::EC2::LaunchTemplate")
    (device,) = template["LaunchTemplateData"]["BlockDeviceMappings"]
    assert device["Ebs"]["Throughput"] == DISK_MIB_S


def test_idle_bill_scrape_interval_is_that_of_the_collector() -> None:
    collector = Path(infra.__file__).parent / "constructs/tasks/collector.yaml"
    assert f"scrape_interval: {SCRAPE_S}s" in collector.read_text()


def test_alarm_metrics_grow_with_the_valkey_nodes() -> None:
    settings = load_settings("dev")
    more = settings.model_copy(update={"valkey": settings.valkey.model_copy(update={"nodes": 2})})
    # Four metrics a node become five.
    assert alarm_metrics(more) - alarm_metrics(settings) == 2 * 5 - 4
