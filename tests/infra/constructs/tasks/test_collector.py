"""The collector: its configuration fits together, and fits what the tasks and the scaling use."""

import re
from functools import cache
from typing import Any

import pytest
import yaml
from aws_cdk import App, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk.assertions import Template

from infra.constructs.observability.log_groups import log_group
from infra.constructs.tasks import collector
from infra.settings.environment import EnvironmentSettings, Observability
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from tests.infra.conftest import Templates
from tests.infra.support.templates import Properties, listed, resources, text

Config = dict[str, Any]
KINDS = ("receivers", "processors", "exporters")
ALL = Observability()
VARIANTS = [
    pytest.param(Observability(tracing=tracing, prometheus=prometheus), id=name)
    for name, tracing, prometheus in (
        ("all", True, True),
        ("without tracing", False, True),
        ("without prometheus", True, False),
        ("neither", False, False),
    )
]


def config(settings: Observability = ALL) -> Config:
    loaded: Config = yaml.safe_load(collector.configuration(settings))
    return loaded


@cache
def task(*, everything: bool = True) -> Template:
    """A task with a main container and the collector, with or without Prometheus and traces."""
    settings = EnvironmentSettings(
        name="test", observability=Observability(tracing=everything, prometheus=everything)
    )
    app = App()
    network = NetworkStack(app, "network", settings=settings)
    observability = ObservabilityStack(app, "observability", settings=settings, network=network)
    stack = Stack(app, "relay")
    definition = ecs.FargateTaskDefinition(stack, "Task", cpu=256, memory_limit_mib=512)
    definition.add_container("main", image=ecs.ContainerImage.from_registry("main"))
    collector.add_collector(
        definition,
        settings=settings,
        prometheus=observability.prometheus,
        cluster="axon-test-relay",
        service="axon-test-relays",
        log_group=log_group(stack, "Logs", settings=settings, name="relay-collector"),
    )
    return Template.from_stack(stack)


def containers(template: Template) -> dict[str, Properties]:
    (definition,) = resources(template, "AWS::ECS::TaskDefinition").values()
    return {container["Name"]: container for container in definition["ContainerDefinitions"]}


def environment(container: Properties) -> dict[str, Any]:
    return {variable["Name"]: variable["Value"] for variable in container["Environment"]}


def statements(template: Template) -> dict[str, str]:
    """Action -> what it is allowed on, of the task's role."""
    policies = resources(template, "AWS::IAM::Policy").values()
    return {
        action: text(statement["Resource"])
        for policy in policies
        if "TaskTaskRole" in text(policy["Roles"][0])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
    }


@pytest.mark.parametrize("settings", VARIANTS)
def test_collector_pipelines_use_all_that_is_configured_and_nothing_else(
    settings: Observability,
) -> None:
    loaded = config(settings)
    pipelines = loaded["service"]["pipelines"].values()
    for kind in KINDS:
        used = {component for pipeline in pipelines for component in pipeline[kind]}
        assert used <= set(loaded[kind])
        if kind != "processors":
            assert used == set(loaded[kind])
    assert loaded["service"]["extensions"] == list(loaded["extensions"])


@pytest.mark.parametrize("settings", VARIANTS)
def test_collector_pipelines_are_those_that_the_settings_ask_for(settings: Observability) -> None:
    expected = {"metrics/cloudwatch"}
    if settings.tracing:
        expected.add("traces")
    if settings.prometheus:
        expected.add("metrics/prometheus")
    assert set(config(settings)["service"]["pipelines"]) == expected


def test_collector_pipelines_limit_memory_first_and_batch_last() -> None:
    for pipeline in config()["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"
        assert pipeline["processors"][-1] == "batch"


def test_collector_pipelines_add_the_task() -> None:
    pipelines = config()["service"]["pipelines"]
    assert all("resource_detection" in p["processors"] for p in pipelines.values())
    prometheus = pipelines["metrics/prometheus"]["processors"]
    assert prometheus.index("resource_detection") < prometheus.index("resource/instance")
    (attribute,) = config()["processors"]["resource/instance"]["attributes"]
    assert attribute == {
        "key": "service.instance.id",
        "from_attribute": "aws.ecs.task.id",
        "action": "upsert",
    }


def test_collector_listens_only_to_its_own_task() -> None:
    receivers = config()["receivers"]
    (job,) = receivers["prometheus"]["config"]["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{collector.METRICS_PORT}"]}]
    assert job["scrape_interval"] == "15s"
    otlp = receivers["otlp"]["protocols"]
    assert list(otlp) == ["http"]
    assert f"http://{otlp['http']['endpoint']}" == collector.OTLP_ENDPOINT
    assert config()["extensions"]["health_check"]["endpoint"].startswith("127.0.0.1:")


def test_collector_sends_cloudwatch_the_load_with_the_dimensions_of_its_service() -> None:
    loaded = config()
    exporter = loaded["exporters"]["awsemf"]
    (declaration,) = exporter["metric_declarations"]
    assert exporter["namespace"] == collector.NAMESPACE
    # A dollar is doubled, or the collector would take it for a variable.
    names = [collector.CONNECTIONS, collector.REQUESTS]
    assert declaration["metric_name_selectors"] == [f"^{name}$$" for name in names]
    assert [each["metric_name"] for each in exporter["metric_descriptors"]] == names
    assert declaration["dimensions"] == [["ClusterName", "ServiceName"]]
    assert exporter["dimension_rollup_option"] == "NoDimensionRollup"
    assert loaded["processors"]["filter/load"]["metric_conditions"] == [
        " and ".join(f'metric.name != "{name}"' for name in names)
    ]
    attributes = loaded["processors"]["attributes/dimensions"]["actions"]
    assert {action["key"]: action["value"] for action in attributes} == {
        "ClusterName": "${env:AXON_CLUSTER}",
        "ServiceName": "${env:AXON_SERVICE}",
    }


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_collector_metric_is_the_one_that_scales_the_relays(
    name: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(name)
    relay = templates["relay"]
    metrics = [
        policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
        for policy in resources(relay, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if "CustomizedMetricSpecification" in policy["TargetTrackingScalingPolicyConfiguration"]
    ]
    (metric,) = metrics
    variables = environment(containers(relay)["collector"])
    assert metric["Namespace"] == collector.NAMESPACE
    assert metric["MetricName"] == collector.CONNECTIONS
    assert metric["Statistic"] == "Average"
    assert {d["Name"]: d["Value"] for d in metric["Dimensions"]} == {
        "ClusterName": variables["AXON_CLUSTER"],
        "ServiceName": variables["AXON_SERVICE"],
    }


@pytest.mark.parametrize("service", ["relay", "inference"])
@pytest.mark.parametrize("name", ["dev", "prod"])
def test_collector_ports_are_those_of_the_tasks(
    name: str, service: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(name)
    by_name = containers(templates[service])
    by_name.pop("collector")
    (main,) = by_name.values()
    variables = environment(main)
    assert variables["AXON_HEALTH_PORT"] == str(collector.METRICS_PORT)
    assert variables["AXON_OTLP_ENDPOINT"] == collector.OTLP_ENDPOINT


@pytest.mark.parametrize("everything", [True, False])
def test_collector_gets_every_variable_that_its_configuration_reads(everything: bool) -> None:
    variables = environment(containers(task(everything=everything))["collector"])
    read = set(re.findall(r"\$\{env:(\w+)\}", variables["AOT_CONFIG_CONTENT"]))
    assert read <= set(variables)
    assert set(variables) - read - {"AWS_REGION"} == {"AOT_CONFIG_CONTENT", "GOMEMLIMIT"}


def test_collector_variables_name_the_service_and_the_workspace() -> None:
    variables = environment(containers(task())["collector"])
    assert variables["AXON_CLUSTER"] == "axon-test-relay"
    assert variables["AXON_SERVICE"] == "axon-test-relays"
    assert text(variables["AXON_REMOTE_WRITE_URL"]).endswith("api/v1/remote_write")
    assert "Logs" in text(variables["AXON_LOG_GROUP"])


def test_collector_is_small_hardened_and_not_essential() -> None:
    container = containers(task())["collector"]
    assert re.search(r":v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", container["Image"])
    assert container["Essential"] is False
    assert container["RestartPolicy"]["Enabled"] is True
    assert container["ReadonlyRootFilesystem"] is True
    assert not container["User"].startswith(("0", "root"))
    assert container["Cpu"] <= 64
    assert container["HealthCheck"]["Command"] == ["CMD", "/healthcheck"]
    assert "PortMappings" not in container


def test_collector_memory_limits_are_nested() -> None:
    container = containers(task())["collector"]
    own = config()["processors"]["memory_limiter"]["limit_mib"]
    go = int(environment(container)["GOMEMLIMIT"].removesuffix("MiB"))
    assert own < go < container["Memory"] <= 512 // 2


def test_collector_stops_after_the_main_container() -> None:
    assert containers(task())["main"]["DependsOn"] == [
        {"Condition": "START", "ContainerName": "collector"}
    ]


def test_collector_role_may_write_to_its_workspace_log_group_and_xray() -> None:
    allowed = statements(task())
    assert "PrometheusWorkspace" in allowed["aps:RemoteWrite"]
    assert "Logs" in allowed["logs:PutLogEvents"]
    assert allowed["xray:PutTraceSegments"] == "*"
    assert set(allowed) == {
        "aps:RemoteWrite",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
    }


def test_collector_role_may_do_only_what_the_settings_ask_for() -> None:
    assert set(statements(task(everything=False))) == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
