"""The relay service."""

import pytest

from axon.settings import RelaySettings
from infra.settings.environment import EnvironmentSettings
from tests.infra.conftest import Synthesised, Templates
from tests.infra.support.ecs_templates import Task, statements
from tests.infra.support.templates import only, resources, text
from tests.infra.support.variant_samples import synthesised_variant

SERVICE = "AWS::ECS::Service"


@pytest.fixture
def variant(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesised_variant(tmp_path_factory)


class TestRelayService:
    def test_service_is_named_after_the_environment(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        name = f"axon-{settings.name}-relay"
        assert only(templates["relay"], SERVICE)["ServiceName"] == name
        assert only(templates["relay"], "AWS::ECS::Cluster")["ClusterName"] == name
        assert only(templates["relay"], "AWS::ECS::Cluster")["ClusterSettings"] == [
            {"Name": "containerInsights", "Value": "enabled"}
        ]

    def test_service_runs_in_a_private_subnet_of_each_zone(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        service = only(templates["relay"], SERVICE)
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        subnets = [text(subnet) for subnet in network["Subnets"]]
        assert len(set(subnets)) == settings.network.zones
        assert all("privateSubnet" in subnet for subnet in subnets)
        assert network["AssignPublicIp"] == "DISABLED"
        assert service["AvailabilityZoneRebalancing"] == "ENABLED"
        (group,) = network["SecurityGroups"]
        assert "RelayGroup" in text(group)

    def test_deployment_keeps_all_relays_and_rolls_back_on_failure(
        self, templates: Templates
    ) -> None:
        deployment = only(templates["relay"], SERVICE)["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert deployment["MinimumHealthyPercent"] == 100
        assert deployment["MaximumPercent"] == 200

    def test_deployment_leaves_the_number_of_relays_to_scaling(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        assert "DesiredCount" not in only(templates["relay"], SERVICE)
        target = only(templates["relay"], "AWS::ApplicationAutoScaling::ScalableTarget")
        assert target["MinCapacity"] == settings.relay.tasks >= 2

    def test_service_runs_on_fargate(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        service = only(templates["relay"], SERVICE)
        assert service["PlatformVersion"] == "1.4.0"
        assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE", "Weight": 1}]
        task = Task.of(templates["relay"]).properties
        assert task["RequiresCompatibilities"] == ["FARGATE"]
        assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
        assert (task["Cpu"], task["Memory"]) == (
            str(settings.relay.cpu),
            str(settings.relay.memory_mb),
        )

    def test_one_relay_is_on_demand_where_the_others_are_on_spot(
        self, variant: Synthesised
    ) -> None:
        service = only(variant.templates["relay"], SERVICE)
        assert service["CapacityProviderStrategy"] == [
            {"Base": 1, "CapacityProvider": "FARGATE", "Weight": 0},
            {"CapacityProvider": "FARGATE_SPOT", "Weight": 1},
        ]
        task = Task.of(variant.templates["relay"]).properties
        assert task["RuntimePlatform"]["CpuArchitecture"] == "X86_64"

    def test_service_is_removed_before_the_capacity_providers(self, templates: Templates) -> None:
        (service,) = templates["relay"].find_resources(SERVICE).values()
        kind = "AWS::ECS::ClusterCapacityProviderAssociations"
        assert set(resources(templates["relay"], kind)) <= set(service["DependsOn"])


class TestRelayTask:
    def test_environment_is_valid_relay_settings(self, templates: Templates) -> None:
        task = Task.of(templates["relay"])
        parsed = RelaySettings.from_environ(task.environment("relay"))
        assert parsed.health_port == 9464
        assert parsed.otlp_endpoint == "http://127.0.0.1:4318"
        assert parsed.valkey_url.startswith("rediss://")
        assert parsed.valkey_iam_user is not None
        assert "execute-api" in parsed.connections_endpoint
        assert "AXON_RELAY_ID" not in task.environment("relay")

    def test_relay_drains_before_it_is_killed(self, templates: Templates) -> None:
        task = Task.of(templates["relay"])
        drains_s = RelaySettings.from_environ(task.environment("relay")).stop_timeout_s
        killed_s = task.container("relay")["StopTimeout"]
        assert drains_s + 10 <= killed_s <= 120

    def test_root_file_system_is_read_only(self, templates: Templates) -> None:
        task = Task.of(templates["relay"])
        relay = task.container("relay")
        assert relay["User"] == "10001:10001"
        assert relay["ReadonlyRootFilesystem"] is True
        assert relay["LinuxParameters"] == {
            "Capabilities": {"Drop": ["ALL"]},
            "InitProcessEnabled": True,
        }
        assert relay["MountPoints"] == [
            {"ContainerPath": "/scratch", "ReadOnly": False, "SourceVolume": "scratch"}
        ]
        assert task.properties["Volumes"] == [{"Name": "scratch"}]

    def test_open_files_limit_allows_many_connections(self, templates: Templates) -> None:
        (limit,) = Task.of(templates["relay"]).container("relay")["Ulimits"]
        assert limit["Name"] == "nofile"
        assert limit["HardLimit"] == limit["SoftLimit"] >= 65535

    def test_health_check_runs_inside_the_container(self, templates: Templates) -> None:
        relay = Task.of(templates["relay"]).container("relay")
        port = Task.of(templates["relay"]).environment("relay")["AXON_HEALTH_PORT"]
        assert relay["HealthCheck"]["Command"] == [
            "CMD", "python", "-m", "axon.adapters.observability.probe", port,
        ]  # fmt: skip

    def test_collector_is_not_essential_and_has_a_small_cpu_share(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        task = Task.of(templates["relay"])
        relay, collector = task.container("relay"), task.container("collector")
        assert relay["Essential"] is True
        assert collector["Essential"] is False
        assert relay["Cpu"] >= 4 * collector["Cpu"]
        assert relay["Cpu"] + collector["Cpu"] <= settings.relay.cpu

    def test_logs_are_kept_as_long_as_set(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        groups = resources(templates["relay"], "AWS::Logs::LogGroup").values()
        assert {group["LogGroupName"] for group in groups} == {
            f"/axon/{settings.name}/relay",
            f"/axon/{settings.name}/relay-collector",
        }
        days = settings.observability.log_retention_days
        assert {group["RetentionInDays"] for group in groups} == {days}
        watched = resources(templates["relay"], "AWS::Logs::SubscriptionFilter")
        assert len(watched) == (1 if settings.observability.opensearch_instance_type else 0)

    def test_role_may_pull_an_image_from_ecr(self, variant: Synthesised) -> None:
        template = variant.templates["relay"]
        image = text(Task.of(template).container("relay")["Image"])
        assert image.startswith("210987654321.dkr.ecr.eu-west-1.")
        assert image.endswith("/axon/relay:1.2")
        allowed = statements(template, "TaskExecutionRole")
        (pull,) = (s for actions, s in allowed.items() if "ecr:BatchGetImage" in actions)
        assert text(pull["Resource"]).endswith(":ecr:eu-west-1:210987654321:repository/axon/relay")

    def test_role_allows_only_what_the_relay_does(self, templates: Templates) -> None:
        allowed = statements(templates["relay"], "TaskTaskRole")
        actions = {action for each in allowed for action in each.split(", ")}
        assert {"elasticache:Connect", "sqs:SendMessage", "execute-api:ManageConnections"} < actions
        assert not {each for each in actions if each.endswith("*")}
        assert not {each for each in actions if each.startswith(("rds-db:", "ecs:", "s3:"))}


def test_relay_has_no_way_in(templates: Templates) -> None:
    assert "LoadBalancers" not in only(templates["relay"], SERVICE)
    assert "PortMappings" not in Task.of(templates["relay"]).container("relay")
    assert resources(templates["relay"], "AWS::ElasticLoadBalancingV2::LoadBalancer") == {}


def test_relay_adds_no_security_group_rules(templates: Templates) -> None:
    for kind in ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress"):
        assert resources(templates["relay"], f"AWS::EC2::{kind}") == {}


def test_relay_alarms_on_missing_tasks(settings: EnvironmentSettings, templates: Templates) -> None:
    alarm = only(templates["relay"], "AWS::CloudWatch::Alarm")
    assert alarm["AlarmName"] == f"axon-{settings.name}-relay-tasks-missing"
    assert alarm["TreatMissingData"] == "breaching"


def test_relay_of_an_unusual_environment_has_no_findings(variant: Synthesised) -> None:
    assert variant.findings == []


class TestRelayScaling:
    def test_relays_follow_processor_and_connections(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        template, relay = templates["relay"], settings.relay
        (target,) = resources(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
        assert (target["MinCapacity"], target["MaxCapacity"]) == (relay.tasks, relay.max_tasks)
        cpu, connections = (
            policy["TargetTrackingScalingPolicyConfiguration"]
            for policy in resources(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
        )
        assert cpu["PredefinedMetricSpecification"] == {
            "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
        }
        assert cpu["TargetValue"] == 60
        assert connections["TargetValue"] == relay.connections_per_task
        name = f"axon-{settings.name}-relay"
        assert connections["CustomizedMetricSpecification"] == {
            "Namespace": "Axon",
            "MetricName": "axon_relay_connections",
            "Dimensions": [
                {"Name": "ClusterName", "Value": name},
                {"Name": "ServiceName", "Value": name},
            ],
            "Statistic": "Average",
        }
