"""The worker service with settings that dev and prod do not use."""

import pytest

from axon.settings import WorkerSettings
from tests.infra.conftest import Synthesised, Templates
from tests.infra.support.ecs_templates import Task, launch_template
from tests.infra.support.templates import listed, only, resources, text
from tests.infra.support.variant_samples import synthesised_variant

SERVICE = "AWS::ECS::Service"


@pytest.fixture
def variant(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesised_variant(tmp_path_factory)


class TestNodesOfOneModel:
    def test_one_node_needs_no_fabric(self, prod: Templates) -> None:
        data = launch_template(prod["inference"])
        assert "NetworkInterfaces" not in data
        assert "Placement" not in data
        assert [text(group) for group in data["SecurityGroupIds"]] != []
        assert resources(prod["inference"], "AWS::EC2::PlacementGroup") == {}

    def test_several_nodes_share_a_placement_group_and_a_fabric(self, variant: Synthesised) -> None:
        template = variant.templates["inference"]
        data = launch_template(template)
        (interface,) = data["NetworkInterfaces"]
        assert interface["InterfaceType"] == "efa"
        assert "WorkerGroup" in text(interface["Groups"][0])
        assert "SecurityGroupIds" not in data
        assert only(template, "AWS::EC2::PlacementGroup")["Strategy"] == "cluster"
        assert data["Placement"]["GroupName"]
        group = only(template, "AWS::AutoScaling::AutoScalingGroup")
        assert len(group["VPCZoneIdentifier"]) == 1
        assert group["MaxSize"] == "12"

    def test_containers_of_the_nodes_reach_the_fabric(self, variant: Synthesised) -> None:
        worker = Task.of(variant.templates["inference"]).container("worker")
        assert worker["LinuxParameters"]["Devices"] == [
            {
                "HostPath": "/dev/infiniband/uverbs0",
                "ContainerPath": "/dev/infiniband/uverbs0",
                "Permissions": ["read", "write"],
            }
        ]
        assert {"Name": "memlock", "HardLimit": -1, "SoftLimit": -1} in worker["Ulimits"]
        assert worker["ResourceRequirements"] == [{"Type": "GPU", "Value": "8"}]

    def test_fabric_security_group_is_open_to_itself(self, variant: Synthesised) -> None:
        network = variant.templates["network"]
        for kind, other in (("Ingress", "Source"), ("Egress", "Destination")):
            rules = resources(network, f"AWS::EC2::SecurityGroup{kind}").values()
            assert [
                rule
                for rule in rules
                if rule["IpProtocol"] == "-1"
                and rule["GroupId"] == rule[f"{other}SecurityGroupId"]
                and "WorkerGroup" in text(rule["GroupId"])
            ]


class TestUnusualWorkers:
    def test_environment_is_valid_worker_settings(self, variant: Synthesised) -> None:
        task = Task.of(variant.templates["inference"])
        parsed = WorkerSettings.from_environ(task.environment("worker"))
        assert parsed.model_uri == "s3://their-bucket/models/large"
        assert parsed.max_model_len == 8192
        assert parsed.tensor_parallel_size == 16
        assert parsed.scheduling_policy == "priority"
        assert parsed.enable_sleep_mode
        assert parsed.gpu_memory_utilization == 0.85
        assert parsed.otlp_endpoint is None

    def test_role_may_read_the_model_and_the_model_folders(self, variant: Synthesised) -> None:
        template = variant.templates["inference"]
        of_s3 = [
            statement
            for policy in resources(template, "AWS::IAM::Policy").values()
            for statement in policy["PolicyDocument"]["Statement"]
            if any(action.startswith("s3:") for action in listed(statement["Action"]))
            and "BucketsPayloads" not in "".join(map(text, listed(statement["Resource"])))
        ]
        read, looked = (
            {
                text(resource).partition(":s3:::")[2]
                for statement in of_s3
                if listed(statement["Action"]) == [action]
                for resource in listed(statement["Resource"])
            }
            for action in ("s3:GetObject", "s3:ListBucket")
        )
        own = next(bucket for bucket in looked if "BucketsModels" in bucket)
        assert read == {"their-bucket/models/large/*", "other-bucket/tried/*", f"{own}/*"}
        assert looked == {"their-bucket", "other-bucket", own}
        prefixes = [each["Condition"] for each in of_s3 if "Condition" in each]
        assert sorted(each["StringLike"]["s3:prefix"][0] for each in prefixes) == [
            "*",
            "models/large/*",
            "tried/*",
        ]

    def test_public_image_is_used_unchanged(self, variant: Synthesised) -> None:
        worker = Task.of(variant.templates["inference"]).container("worker")
        assert worker["Image"] == "docker.io/example/worker@sha256:0123"

    def test_min_tasks_is_the_lower_bound_of_scaling(self, variant: Synthesised) -> None:
        target = only(variant.templates["inference"], "AWS::ApplicationAutoScaling::ScalableTarget")
        assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
