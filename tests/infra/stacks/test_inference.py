"""The worker service, on Fargate (dev) and on GPUs (prod)."""

from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from axon import catalog
from axon.settings import WorkerSettings
from infra.constructs.tasks.cluster import Names, create_cluster
from infra.constructs.tasks.workers import FargateWorkers
from infra.settings.environment import EnvironmentSettings, load
from infra.settings.sections import Fargate
from infra.stacks.network import NetworkStack
from tests.infra.conftest import Synthesised, Templates
from tests.infra.support.dockerfile import Dockerfile
from tests.infra.support.ecs_templates import Task, launch_template, statements
from tests.infra.support.templates import only, resources, text
from tests.infra.support.variant_samples import synthesised_variant

PAYLOADS = "BucketsPayloads"
SERVICE = "AWS::ECS::Service"


@pytest.fixture
def variant(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesised_variant(tmp_path_factory)


class TestWorkerService:
    def test_service_has_the_name_by_which_submitters_start_it(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        cluster, service = f"axon-{settings.name}-inference", f"axon-{settings.name}-worker"
        assert only(templates["inference"], "AWS::ECS::Cluster")["ClusterName"] == cluster
        assert only(templates["inference"], SERVICE)["ServiceName"] == service
        assert only(templates["inference"], "AWS::ECS::Cluster")["ClusterSettings"] == [
            {"Name": "containerInsights", "Value": "enabled"}
        ]

    def test_service_leaves_the_number_of_tasks_to_scaling(self, templates: Templates) -> None:
        """Without the property ECS creates a service with one, and keeps the number afterwards."""
        service = only(templates["inference"], SERVICE)
        assert "DesiredCount" not in service
        assert service.get("SchedulingStrategy", "REPLICA") == "REPLICA"

    def test_service_runs_in_a_private_subnet_of_each_zone(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        network = only(templates["inference"], SERVICE)["NetworkConfiguration"]
        subnets = [text(subnet) for subnet in network["AwsvpcConfiguration"]["Subnets"]]
        assert len(set(subnets)) == settings.network.zones
        assert all("privateSubnet" in subnet for subnet in subnets)
        assert network["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
        (group,) = network["AwsvpcConfiguration"]["SecurityGroups"]
        assert "WorkerGroup" in text(group)

    def test_deployment_rolls_back_on_failure_and_keeps_the_only_worker(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        deployment = only(templates["inference"], SERVICE)["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert deployment["MaximumPercent"] == 200
        # ECS rounds up: at least one of one.
        assert (
            deployment["MinimumHealthyPercent"]
            == {"fargate": 100, "gpu": 50}[settings.inference.capacity.kind]
        )

    def test_service_is_removed_before_the_capacity_providers(self, templates: Templates) -> None:
        (service,) = templates["inference"].find_resources(SERVICE).values()
        kind = "AWS::ECS::ClusterCapacityProviderAssociations"
        assert set(resources(templates["inference"], kind)) <= set(service["DependsOn"])

    def test_scaling_is_created_after_the_service(self, templates: Templates) -> None:
        (target,) = (
            templates["inference"]
            .find_resources("AWS::ApplicationAutoScaling::ScalableTarget")
            .values()
        )
        assert set(resources(templates["inference"], SERVICE)) <= set(target["DependsOn"])


class TestWorkerTask:
    def test_environment_is_valid_worker_settings(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        task = Task.of(templates["inference"])
        parsed = WorkerSettings.from_environ(task.environment("worker"))
        assert parsed.engine == settings.inference.engine
        assert parsed.model_name == settings.inference.model_name
        assert parsed.max_receives == catalog.JOBS.max_receives
        assert parsed.slots == settings.inference.slots
        assert parsed.tensor_parallel_size == settings.inference.tensor_parallel_size
        assert parsed.max_model_len == settings.inference.max_model_len
        assert parsed.task_protection is True
        assert parsed.health_port == 9464
        assert parsed.otlp_endpoint == "http://127.0.0.1:4318"
        assert parsed.postgres_iam is True
        assert parsed.postgres_dsn.startswith("postgresql://axon_app@")
        assert parsed.valkey_url.startswith("rediss://")
        assert "JobsQueue" in parsed.jobs_queue_url
        assert "HistoryQueue" in parsed.history_queue_url

    def test_environment_names_the_region(self, templates: Templates) -> None:
        environment = Task.of(templates["inference"]).environment("worker")
        assert environment["AWS_REGION"] == "{AWS::Region}"

    def test_visibility_timeout_is_that_of_the_queue(self, templates: Templates) -> None:
        environment = Task.of(templates["inference"]).environment("worker")
        (queue,) = (
            queue
            for queue in resources(templates["messaging"], "AWS::SQS::Queue").values()
            if text(queue["QueueName"]).endswith("-jobs")
        )
        held_s = WorkerSettings.from_environ(environment).visibility_timeout_s
        assert held_s == queue["VisibilityTimeout"]

    def test_worker_drains_before_it_is_killed(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        task = Task.of(templates["inference"])
        drains_s = WorkerSettings.from_environ(task.environment("worker")).stop_timeout_s
        killed_s = task.container("worker")["StopTimeout"]
        assert drains_s == settings.inference.stop_timeout_s
        assert killed_s == drains_s + 10
        if settings.inference.capacity.kind == "fargate":
            assert killed_s <= 120

    def test_root_file_system_is_read_only(self, templates: Templates) -> None:
        task = Task.of(templates["inference"])
        worker = task.container("worker")
        assert worker["ReadonlyRootFilesystem"] is True
        assert worker["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert worker["LinuxParameters"]["InitProcessEnabled"] is True
        (mount,) = worker["MountPoints"]
        assert (mount["ContainerPath"], mount["ReadOnly"]) == ("/scratch", False)
        assert task.properties["Volumes"] == [{"Name": "scratch"}]

    @pytest.mark.parametrize(
        ("file", "environment"), [("Dockerfile.cpu", "dev"), ("Dockerfile", "prod")]
    )
    def test_task_fits_its_image(
        self, file: str, environment: str, dev: Templates, prod: Templates
    ) -> None:
        image = Dockerfile.read(f"inference_container/{file}").image
        template = {"dev": dev, "prod": prod}[environment]["inference"]
        worker = Task.of(template).container("worker")
        assert image.all("USER") == [worker["User"]]
        assert image.command("HEALTHCHECK") == worker["HealthCheck"]["Command"][1:]
        (mount,) = worker["MountPoints"]
        assert image.command("VOLUME") == [mount["ContainerPath"]]

    def test_collector_is_not_essential_and_has_a_small_cpu_share(
        self, templates: Templates
    ) -> None:
        task = Task.of(templates["inference"])
        worker, collector = task.container("worker"), task.container("collector")
        assert worker["Essential"] is True
        assert collector["Essential"] is False
        assert worker["Cpu"] >= 4 * collector["Cpu"]

    def test_role_allows_only_what_the_worker_does(
        self, settings: EnvironmentSettings, templates: Templates
    ) -> None:
        allowed = statements(templates["inference"], "WorkersTaskTaskRole")
        actions = {action for each in allowed for action in each.split(", ")}
        assert {
            "elasticache:Connect",
            "rds-db:connect",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
            "ecs:UpdateTaskProtection",
        } < actions
        assert not {each for each in actions if each.endswith("*")}
        assert not {each for each in actions if each.startswith("execute-api:")}
        assert text(allowed["ecs:UpdateTaskProtection"]["Resource"]).split(":task/")[1] == (
            "{" + next(iter(resources(templates["inference"], "AWS::ECS::Cluster"))) + "}/*"
        )

    def test_role_may_read_the_files_of_its_models_only(
        self, settings: EnvironmentSettings, dev: Templates, prod: Templates
    ) -> None:
        allowed = statements(prod["inference"], "WorkersTaskTaskRole", without=PAYLOADS)
        assert text(allowed["s3:GetObject"]["Resource"]).endswith("}/my-model/*")
        assert "BucketsModels" in text(allowed["s3:GetObject"]["Resource"])
        attributes = allowed["s3:GetObjectAttributes"]["Resource"]
        assert attributes == allowed["s3:GetObject"]["Resource"]
        assert allowed["s3:ListBucket"]["Condition"] == {
            "StringLike": {"s3:prefix": ["my-model/*"]}
        }
        uri = Task.of(prod["inference"]).environment("worker")["AXON_MODEL_URI"]
        assert uri.startswith("s3://{")
        assert uri.endswith("}/my-model")
        assert "s3:GetObject" not in statements(
            dev["inference"], "WorkersTaskTaskRole", without=PAYLOADS
        )

    def test_role_may_read_payloads_of_responses_and_write_none(self, dev: Templates) -> None:
        allowed = statements(dev["inference"], "WorkersTaskTaskRole")
        read = [text(resource) for resource in allowed["s3:GetObject"]["Resource"]]
        assert [each.partition("}/")[2] for each in read] == ["stored/*", "unstored/*"]
        assert all(PAYLOADS in each for each in read)
        assert "s3:PutObject" not in allowed


class TestFargateWorkers:
    def test_dev_runs_on_spot(self, dev: Templates) -> None:
        service = only(dev["inference"], SERVICE)
        assert service["CapacityProviderStrategy"] == [
            {"CapacityProvider": "FARGATE_SPOT", "Weight": 100}
        ]
        assert service["PlatformVersion"] == "1.4.0"

    def test_task_size_is_that_of_the_settings(self, dev: Templates) -> None:
        task = Task.of(dev["inference"])
        assert (task.properties["Cpu"], task.properties["Memory"]) == ("2048", "4096")
        assert task.properties["RuntimePlatform"]["CpuArchitecture"] == "X86_64"
        # Fargate refuses a task with these.
        worker = task.container("worker")
        assert "SharedMemorySize" not in worker["LinuxParameters"]
        assert "DockerSecurityOptions" not in worker
        assert "ResourceRequirements" not in worker

    @pytest.mark.parametrize(
        ("percent", "expected"),
        [
            (0, [{"CapacityProvider": "FARGATE", "Weight": 100}]),
            (
                40,
                [
                    {"CapacityProvider": "FARGATE", "Weight": 60},
                    {"CapacityProvider": "FARGATE_SPOT", "Weight": 40},
                ],
            ),
        ],
    )
    def test_spot_takes_its_share(self, percent: int, expected: list[dict[str, Any]]) -> None:
        app = App()
        network = NetworkStack(app, "network", settings=load("dev"))
        stack = Stack(app, "inference")
        names = Names(cluster="cluster", service="service")
        cluster = create_cluster(stack, "Cluster", names=names, vpc=network.vpc, fargate=True)
        workers = FargateWorkers(
            stack,
            "Workers",
            names=names,
            capacity=Fargate(kind="fargate", spot_percent=percent),
            cluster=cluster,
            security_group=network.groups.worker,
        )
        workers.task.add_container("worker", image=_image())
        workers.serve()
        service = only(Template.from_stack(stack), SERVICE)
        assert service["CapacityProviderStrategy"] == expected

    def test_fargate_has_no_instances(self, dev: Templates) -> None:
        for kind in ("AutoScaling::AutoScalingGroup", "EC2::LaunchTemplate"):
            assert resources(dev["inference"], f"AWS::{kind}") == {}


class TestGpuWorkers:
    def test_worker_has_all_gpus_of_an_instance_to_itself(self, prod: Templates) -> None:
        worker = Task.of(prod["inference"]).container("worker")
        assert worker["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]
        assert worker["LinuxParameters"]["SharedMemorySize"] >= 1024
        assert worker["DockerSecurityOptions"] == ["no-new-privileges"]
        assert "Devices" not in worker["LinuxParameters"]
        service = only(prod["inference"], SERVICE)
        assert service["PlacementConstraints"] == [{"Type": "distinctInstance"}]

    def test_health_check_leaves_time_to_load_a_model(self, prod: Templates) -> None:
        check = Task.of(prod["inference"]).container("worker")["HealthCheck"]
        assert check["StartPeriod"] + check["Interval"] * check["Retries"] >= 900

    def test_instances_follow_the_tasks_down_to_zero(self, prod: Templates) -> None:
        provider = only(prod["inference"], "AWS::ECS::CapacityProvider")["AutoScalingGroupProvider"]
        assert provider["ManagedScaling"]["Status"] == "ENABLED"
        assert provider["ManagedScaling"]["TargetCapacity"] == 100
        assert provider["ManagedTerminationProtection"] == "ENABLED"
        assert provider["ManagedDraining"] == "ENABLED"
        group = only(prod["inference"], "AWS::AutoScaling::AutoScalingGroup")
        assert group["MinSize"] == "0"
        assert group["NewInstancesProtectedFromScaleIn"] is True
        assert "DesiredCapacity" not in group

    def test_instances_have_room_for_the_new_tasks_of_a_deployment(self, prod: Templates) -> None:
        group = only(prod["inference"], "AWS::AutoScaling::AutoScalingGroup")
        target = only(prod["inference"], "AWS::ApplicationAutoScaling::ScalableTarget")
        percent = only(prod["inference"], SERVICE)["DeploymentConfiguration"]["MaximumPercent"]
        assert int(group["MaxSize"]) * 100 >= target["MaxCapacity"] * percent

    def test_instances_are_of_the_types_that_are_set(
        self, prod: Templates, variant: Synthesised
    ) -> None:
        def policy(templates: Templates) -> dict[str, Any]:
            group = only(templates["inference"], "AWS::AutoScaling::AutoScalingGroup")
            return dict(group["MixedInstancesPolicy"])

        overrides = policy(prod)["LaunchTemplate"]["Overrides"]
        assert [each["InstanceType"] for each in overrides] == ["g6.xlarge", "g5.xlarge"]
        share = "OnDemandPercentageAboveBaseCapacity"
        assert policy(prod)["InstancesDistribution"][share] == 100
        spot = policy(variant.templates)["InstancesDistribution"]
        assert spot[share] == 70
        assert spot["OnDemandBaseCapacity"] == 0
        assert spot["SpotAllocationStrategy"] == "price-capacity-optimized"

    def test_containers_cannot_ask_for_the_instances_credentials(self, prod: Templates) -> None:
        data = launch_template(prod["inference"])
        assert data["MetadataOptions"] == {"HttpPutResponseHopLimit": 1, "HttpTokens": "required"}
        assert "ECS_AWSVPC_BLOCK_IMDS=true" in text(data["UserData"]["Fn::Base64"])

    def test_disk_is_encrypted(self, prod: Templates) -> None:
        (disk,) = launch_template(prod["inference"])["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"] is True
        assert (disk["Ebs"]["VolumeType"], disk["Ebs"]["VolumeSize"]) == ("gp3", 150)

    def test_agent_joins_the_cluster_and_drains_in_time(self, prod: Templates) -> None:
        script = text(launch_template(prod["inference"])["UserData"]["Fn::Base64"])
        cluster = next(iter(resources(prod["inference"], "AWS::ECS::Cluster")))
        assert f"echo ECS_CLUSTER={{{cluster}}} >> /etc/ecs/ecs.config" in script
        assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in script
        stop_s = Task.of(prod["inference"]).container("worker")["StopTimeout"]
        assert f"ECS_CONTAINER_STOP_TIMEOUT={stop_s}s" in script
        assert "amazon-linux-2023/gpu" in str(prod["inference"].to_json()["Parameters"])

    def test_agent_role_is_limited_to_its_own_cluster(self, prod: Templates) -> None:
        (role,) = (
            role
            for name, role in resources(prod["inference"], "AWS::IAM::Role").items()
            if "Instances" in name
        )
        assert "ManagedPolicyArns" not in role
        (policy,) = role["Policies"]
        cluster = {"Fn::GetAtt": [next(iter(resources(prod["inference"], "AWS::ECS::Cluster"))),
                                  "Arn"]}  # fmt: skip
        for statement in policy["PolicyDocument"]["Statement"]:
            own = statement["Resource"] == cluster or statement.get("Condition") == {
                "ArnEquals": {"ecs:cluster": cluster}
            }
            assert own or statement["Action"] == "ecs:DiscoverPollEndpoint"
        actions = str(policy)
        assert "ecs:UpdateContainerInstancesState" in actions
        assert "ecr:" not in actions
        assert not [
            name
            for name in resources(prod["inference"], "AWS::IAM::Policy")
            if name.startswith("WorkersInstances")
        ]

    def test_instances_have_no_public_address(self, prod: Templates, variant: Synthesised) -> None:
        group = only(prod["inference"], "AWS::AutoScaling::AutoScalingGroup")
        assert len(group["VPCZoneIdentifier"]) == 3
        assert all("privateSubnet" in text(subnet) for subnet in group["VPCZoneIdentifier"])
        (interface,) = launch_template(variant.templates["inference"])["NetworkInterfaces"]
        assert interface["AssociatePublicIpAddress"] is False


def test_inference_alarms_when_no_worker_runs(
    settings: EnvironmentSettings, templates: Templates
) -> None:
    alarms = {
        alarm["AlarmName"]: alarm
        for alarm in resources(templates["inference"], "AWS::CloudWatch::Alarm").values()
        if "AlarmName" in alarm
    }
    prefix = f"axon-{settings.name}-worker"
    assert alarms.keys() == {f"{prefix}-tasks-missing", f"{prefix}-none"}
    assert all(alarm["TreatMissingData"] == "notBreaching" for alarm in alarms.values())


def test_inference_adds_no_security_group_rules(templates: Templates) -> None:
    for kind in ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress"):
        assert resources(templates["inference"], f"AWS::EC2::{kind}") == {}


def _image() -> Any:
    from aws_cdk import aws_ecs as ecs

    return ecs.ContainerImage.from_registry("public.ecr.aws/docker/library/busybox:1.37")
