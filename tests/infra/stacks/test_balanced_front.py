"""The fronts as tasks, and the load balancer before them."""

import json

import pytest

from axon.deadlines import Deadlines
from axon.settings import FrontSettings
from infra.settings.environment import BalancedFront, EnvironmentSettings, load
from tests.infra.conftest import Synthesised, Templates
from tests.infra.support.ecs_templates import Task, statements
from tests.infra.support.templates import only, resources, text
from tests.infra.support.variant_samples import CERTIFICATE, WEB_ACL, synthesised_variant

SERVICE = "AWS::ECS::Service"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"


@pytest.fixture
def settings() -> EnvironmentSettings:
    return load("prod")


@pytest.fixture
def front(settings: EnvironmentSettings) -> BalancedFront:
    assert isinstance(settings.front, BalancedFront)
    return settings.front


@pytest.fixture
def variant(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesised_variant(tmp_path_factory)


def attributes(templates: Templates, kind: str) -> dict[str, str]:
    properties = only(templates["front"], f"AWS::ElasticLoadBalancingV2::{kind}")
    return {each["Key"]: text(each["Value"]) for each in properties[f"{kind}Attributes"]}


def variables(templates: Templates) -> dict[str, str]:
    return Task.of(templates["front"]).environment("front")


class TestFrontService:
    def test_service_runs_in_a_private_subnet_of_each_zone(
        self, settings: EnvironmentSettings, prod: Templates
    ) -> None:
        service = only(prod["front"], SERVICE)
        assert service["ServiceName"] == "axon-prod-front"
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        subnets = [text(subnet) for subnet in network["Subnets"]]
        assert len(set(subnets)) == settings.network.zones
        assert all("privateSubnet" in subnet for subnet in subnets)
        assert network["AssignPublicIp"] == "DISABLED"
        assert service["AvailabilityZoneRebalancing"] == "ENABLED"
        (group,) = network["SecurityGroups"]
        assert "FrontGroup" in text(group)

    def test_deployment_keeps_all_fronts_and_rolls_back_on_failure(self, prod: Templates) -> None:
        deployment = only(prod["front"], SERVICE)["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert deployment["MinimumHealthyPercent"] == 100

    def test_service_runs_on_arm_by_default(self, front: BalancedFront, prod: Templates) -> None:
        task = Task.of(prod["front"]).properties
        assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
        assert (task["Cpu"], task["Memory"]) == (str(front.cpu), str(front.memory_mb))

    def test_fronts_follow_processor_and_open_requests(
        self, front: BalancedFront, prod: Templates
    ) -> None:
        target = only(prod["front"], "AWS::ApplicationAutoScaling::ScalableTarget")
        assert (target["MinCapacity"], target["MaxCapacity"]) == (front.tasks, front.max_tasks)
        cpu, requests = (
            policy["TargetTrackingScalingPolicyConfiguration"]
            for policy in resources(
                prod["front"], "AWS::ApplicationAutoScaling::ScalingPolicy"
            ).values()
        )
        assert cpu["TargetValue"] == 60
        assert requests["TargetValue"] == front.requests_per_task
        specification = requests["CustomizedMetricSpecification"]
        assert specification["MetricName"] == "axon_front_requests"
        assert {each["Value"] for each in specification["Dimensions"]} == {"axon-prod-front"}

    def test_alarms_watch_tasks_and_requests(self, prod: Templates) -> None:
        alarms = {
            alarm["AlarmName"]: alarm
            for alarm in resources(prod["front"], "AWS::CloudWatch::Alarm").values()
        }
        missing = alarms.pop("axon-prod-front-tasks-missing")
        assert missing["TreatMissingData"] == "breaching"
        assert alarms.keys() == {"axon-prod-front-unhealthy", "axon-prod-front-http-failures"}

    def test_stack_of_an_unusual_environment_has_no_findings(self, variant: Synthesised) -> None:
        assert variant.findings == []


class TestFrontTask:
    def test_environment_is_valid_front_settings(self, prod: Templates) -> None:
        given = variables(prod)
        parsed = FrontSettings.from_environ(given)
        assert (parsed.http_host, parsed.http_port, parsed.health_port) == ("0.0.0.0", 8080, 9464)
        assert parsed.models == ("my-model",)
        assert parsed.workers_service == "axon-prod-worker"
        assert parsed.valkey_url.startswith("rediss://")
        assert not parsed.cors_origins
        assert not parsed.playground
        # What no setting is called would be ignored without a word; traces are not made yet.
        known = {f"AXON_{field.upper()}" for field in FrontSettings.model_fields}
        ignored = {name for name in given if name.startswith("AXON_")} - known
        assert ignored == {"AXON_OTLP_ENDPOINT"}

    def test_environment_opens_what_the_settings_open_to_pages(self, variant: Synthesised) -> None:
        parsed = FrontSettings.from_environ(variables(variant.templates))
        assert parsed.cors_origins == ("https://app.example", "http://localhost:3000")
        assert parsed.playground

    def test_front_takes_clients_addresses_from_the_balancer_alone(self, prod: Templates) -> None:
        """That nobody else may connect, tests/infra/stacks/test_network.py checks."""
        assert FrontSettings.from_environ(variables(prod)).trusted_proxies == 1
        found = attributes(prod, "LoadBalancer")
        # The default appends, so that the last address is the balancer's own word.
        assert found.get("routing.http.xff_header_processing.mode", "append") == "append"
        assert found.get("routing.http.xff_client_port.enabled", "false") == "false"

    def test_front_keeps_connections_longer_than_the_balancer(self, prod: Templates) -> None:
        idle_s = int(attributes(prod, "LoadBalancer")["idle_timeout.timeout_seconds"])
        assert FrontSettings.from_environ(variables(prod)).keep_alive_s > idle_s

    def test_front_drains_before_it_is_killed_and_before_deregistration_ends(
        self, prod: Templates
    ) -> None:
        drains_s = FrontSettings.from_environ(variables(prod)).stop_timeout_s
        killed_s = Task.of(prod["front"]).container("front")["StopTimeout"]
        # Then responses of readers that cannot come back are cancelled, 10 s at most.
        assert drains_s + 10 <= killed_s <= 120
        delay_s = int(attributes(prod, "TargetGroup")["deregistration_delay.timeout_seconds"])
        assert delay_s >= killed_s

    def test_metrics_are_served_to_the_sidecar_alone(self, prod: Templates) -> None:
        (mapping,) = Task.of(prod["front"]).container("front")["PortMappings"]
        assert mapping["ContainerPort"] == 8080 != int(variables(prod)["AXON_HEALTH_PORT"])

    def test_role_allows_only_what_the_front_does(self, prod: Templates) -> None:
        allowed = statements(prod["front"], "TaskTaskRole")
        actions = {action for each in allowed for action in each.split(", ")}
        assert {
            "elasticache:Connect",
            "rds-db:connect",
            "sqs:SendMessage",
            "ecs:UpdateService",
        } < actions
        assert not {each for each in actions if each.endswith("*")}
        assert not {
            each
            for each in actions
            if each.startswith(("sqs:Receive", "execute-api:", "secretsmanager:"))
        }
        # Payloads, never models.
        assert {each for each in actions if each.startswith("s3:")} == {
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:ListBucket",
            "s3:PutObject",
        }
        others = statements(prod["front"], "TaskTaskRole", without="BucketsPayloads")
        assert not {each for each in others if each.startswith("s3:")}


class TestFrontLoadBalancer:
    def test_load_balancer_is_public_and_strict(
        self, settings: EnvironmentSettings, prod: Templates
    ) -> None:
        balancer = only(prod["front"], "AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert balancer["Scheme"] == "internet-facing"
        subnets = [text(subnet) for subnet in balancer["Subnets"]]
        assert len(set(subnets)) == settings.network.zones
        assert all("publicSubnet" in subnet for subnet in subnets)
        found = attributes(prod, "LoadBalancer")
        assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
        assert found["routing.http.desync_mitigation_mode"] == "strictest"
        # It holds no data: protection is for what does, so that the rest can be taken away.
        assert found.get("deletion_protection.enabled", "false") == "false"

    def test_idle_timeout_is_longer_than_a_response(self, prod: Templates) -> None:
        idle_s = int(attributes(prod, "LoadBalancer")["idle_timeout.timeout_seconds"])
        assert Deadlines().longest_wait_s < idle_s <= 4000

    def test_access_log_may_be_written(self, prod: Templates) -> None:
        found = attributes(prod, "LoadBalancer")
        assert found["access_logs.s3.enabled"] == "true"
        assert "AccessLogs" in found["access_logs.s3.bucket"]
        (statement,) = (
            statement
            for policy in resources(prod["data"], "AWS::S3::BucketPolicy").values()
            for statement in policy["PolicyDocument"]["Statement"]
            if "logdelivery" in str(statement["Principal"])
        )
        assert statement["Action"] == "s3:PutObject"
        assert f"/{found['access_logs.s3.prefix']}/AWSLogs/" in text(statement["Resource"])
        assert "aws:SourceArn" in statement["Condition"]["ArnLike"]

    def test_only_https_is_served(self, prod: Templates) -> None:
        listener = only(prod["front"], LISTENER)
        assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
        assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
        (url,) = prod["front"].find_outputs("HttpUrl").values()
        assert text(url["Value"]) == "https://axon.example.com/v1"

    def test_listener_forwards_only_the_paths_of_the_api(self, prod: Templates) -> None:
        rule = only(prod["front"], RULE)
        (condition,) = rule["Conditions"]
        paths = condition["PathPatternConfig"]["Values"]
        assert paths == ["/v1/*", "/healthz", "/openapi.json", "/docs"]
        (default,) = only(prod["front"], LISTENER)["DefaultActions"]
        answer = default["FixedResponseConfig"]
        assert (answer["StatusCode"], answer["ContentType"]) == ("404", "application/json")
        error = json.loads(answer["MessageBody"])["error"]
        assert error.keys() == {"message", "type", "param", "code"}

    def test_listener_forwards_the_page_where_the_settings_open_it(
        self, variant: Synthesised
    ) -> None:
        api, page = resources(variant.templates["front"], RULE).values()
        assert page["Conditions"][0]["PathPatternConfig"]["Values"] == ["/", "/playground/*"]
        assert (api["Priority"], page["Priority"]) == (1, 2)

    def test_certificate_is_made_and_named_in_the_zone(self, prod: Templates) -> None:
        certificate = only(prod["front"], "AWS::CertificateManager::Certificate")
        assert certificate["DomainName"] == "axon.example.com"
        (option,) = certificate["DomainValidationOptions"]
        assert option["HostedZoneId"] == "Z0EXAMPLE"
        record = only(prod["front"], "AWS::Route53::RecordSet")
        assert (record["Name"], record["Type"]) == ("axon.example.com.", "A")
        assert "LoadBalancer" in text(record["AliasTarget"]["DNSName"])

    def test_given_certificate_is_used_without_a_record(self, variant: Synthesised) -> None:
        template = variant.templates["front"]
        assert only(template, LISTENER)["Certificates"] == [{"CertificateArn": CERTIFICATE}]
        assert resources(template, "AWS::CertificateManager::Certificate") == {}
        assert resources(template, "AWS::Route53::RecordSet") == {}
        (url,) = template.find_outputs("HttpUrl").values()
        (target,) = template.find_outputs("HttpTarget").values()
        assert text(url["Value"]) == f"https://{text(target['Value'])}/v1"

    def test_firewall_is_the_one_of_the_settings(
        self, prod: Templates, variant: Synthesised
    ) -> None:
        kind = "AWS::WAFv2::WebACLAssociation"
        assert only(variant.templates["front"], kind)["WebACLArn"] == WEB_ACL
        assert resources(prod["front"], kind) == {}

    def test_targets_are_the_addresses_of_the_fronts(self, prod: Templates) -> None:
        group = only(prod["front"], TARGETS)
        assert (group["TargetType"], group["Port"], group["Protocol"]) == ("ip", 8080, "HTTP")
        (attached,) = only(prod["front"], SERVICE)["LoadBalancers"]
        assert (attached["ContainerName"], attached["ContainerPort"]) == ("front", 8080)
        found = attributes(prod, "TargetGroup")
        assert found["load_balancing.algorithm.type"] == "least_outstanding_requests"
        assert "slow_start.duration_seconds" not in found  # refused with that algorithm

    def test_load_balancer_asks_for_readiness_and_has_patience(self, prod: Templates) -> None:
        """ECS replaces a target that is unhealthy, and none is ready while Valkey fails over."""
        group = only(prod["front"], TARGETS)
        assert group["HealthCheckPath"] == "/readyz"
        assert group["Matcher"] == {"HttpCode": "200"}
        patience_s = group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"]
        assert patience_s >= 100
        assert group["HealthCheckIntervalSeconds"] * group["HealthyThresholdCount"] <= 20


def test_balanced_front_adds_no_security_group_rules(prod: Templates) -> None:
    for kind in ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress"):
        assert resources(prod["front"], f"AWS::EC2::{kind}") == {}
