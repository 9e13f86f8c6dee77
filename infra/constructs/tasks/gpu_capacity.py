"""GPU instances for an ECS cluster: as many as its tasks need, down to zero."""

from aws_cdk import Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.security.findings import acknowledge
from infra.settings.sections import Gpu

DISK_DEVICE = "/dev/xvda"
DISK_THROUGHPUT = 500
"""MiB/s. A cold start unpacks the image and reads the model from this disk."""

EFA_DEVICE = "/dev/infiniband/uverbs0"


class GpuCapacity(Construct):
    """A capacity provider of `cluster` over an auto scaling group of GPU instances.

    Attributes
    ----------
    provider_name
        Name for the capacity provider strategy of a service.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        gpu: Gpu,
        max_tasks: int,
        stop_timeout_s: int,
        cluster: ecs.Cluster,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        self._gpu = gpu
        self._name = name
        template = self._launch_template(cluster, security_group, stop_timeout_s)
        group = self._group(template, vpc=vpc, max_tasks=max_tasks)
        provider = ecs.AsgCapacityProvider(
            self,
            "Provider",
            auto_scaling_group=group,
            enable_managed_scaling=True,
            # One instance for each task, no spare.
            target_capacity_percent=100,
            enable_managed_termination_protection=True,
            enable_managed_draining=True,
        )
        cluster.add_asg_capacity_provider(provider)
        self.provider_name = provider.capacity_provider_name
        self._acknowledge(group)

    @property
    def _clustered(self) -> bool:
        return self._gpu.nodes_per_model > 1

    def _launch_template(
        self, cluster: ecs.Cluster, security_group: ec2.ISecurityGroup, stop_timeout_s: int
    ) -> ec2.LaunchTemplate:
        template = ec2.LaunchTemplate(
            self,
            "Template",
            launch_template_name=self._name,
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.GPU),
            instance_type=ec2.InstanceType(self._gpu.instance_types[0]),
            role=self._role(cluster),
            security_group=security_group,
            user_data=_user_data(stop_timeout_s),
            require_imdsv2=True,
            # The instance's credentials are for its agent: with one hop, the metadata service's
            # response does not reach a container.
            http_put_response_hop_limit=1,
            detailed_monitoring=True,
            placement_group=self._placement_group(),
            block_devices=[
                ec2.BlockDevice(
                    device_name=DISK_DEVICE,
                    volume=ec2.BlockDeviceVolume.ebs(
                        self._gpu.disk_gb,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                        throughput=DISK_THROUGHPUT,
                        encrypted=True,
                        delete_on_termination=True,
                    ),
                )
            ],
        )
        if self._clustered:
            self._use_efa(template, security_group)
        return template

    def _role(self, cluster: ecs.Cluster) -> iam.IRole:
        """Create the role of the ECS agent; tasks pull images and write logs with their own roles.

        CDK's `Cluster` would add both of these permissions to the agent, and leaves out the one
        that draining a Spot instance needs (UpdateContainerInstancesState).
        """
        own = {"ArnEquals": {"ecs:cluster": cluster.cluster_arn}}
        reports = [
            "ecs:DeregisterContainerInstance",
            "ecs:RegisterContainerInstance",
            "ecs:SubmitAttachmentStateChanges",
            "ecs:SubmitContainerStateChange",
            "ecs:SubmitTaskStateChange",
        ]
        polls = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
        statements = [
            iam.PolicyStatement(actions=reports, resources=[cluster.cluster_arn]),
            iam.PolicyStatement(actions=polls, resources=["*"], conditions=own),
            iam.PolicyStatement(actions=["ecs:DiscoverPollEndpoint"], resources=["*"]),
        ]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="What the ECS agent of a GPU instance runs as",
            inline_policies={"agent": iam.PolicyDocument(statements=statements)},
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "An instance's ARN is not known before, so a condition names the cluster; "
            "ecs:DiscoverPollEndpoint takes no resource.",
        )
        return role.without_policy_updates()

    def _placement_group(self) -> ec2.PlacementGroup | None:
        if not self._clustered:
            return None
        return ec2.PlacementGroup(self, "Placement", strategy=ec2.PlacementGroupStrategy.CLUSTER)

    def _use_efa(self, template: ec2.LaunchTemplate, security_group: ec2.ISecurityGroup) -> None:
        """Make the network interface an Elastic Fabric Adapter, which CDK's L2 construct lacks."""
        resource = template.node.default_child
        assert isinstance(resource, ec2.CfnLaunchTemplate)  # noqa: S101
        resource.add_property_override(
            "LaunchTemplateData.NetworkInterfaces",
            [
                {
                    "DeviceIndex": 0,
                    "InterfaceType": "efa",
                    "AssociatePublicIpAddress": False,
                    "DeleteOnTermination": True,
                    "Groups": [security_group.security_group_id],
                }
            ],
        )
        resource.add_property_deletion_override("LaunchTemplateData.SecurityGroupIds")

    def _group(
        self, template: ec2.LaunchTemplate, *, vpc: ec2.IVpc, max_tasks: int
    ) -> autoscaling.AutoScalingGroup:
        # Nodes of one model share a cluster placement group, which cannot span zones.
        zones = vpc.availability_zones[:1] if self._clustered else None
        group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=self._name,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="private", availability_zones=zones),
            mixed_instances_policy=autoscaling.MixedInstancesPolicy(
                launch_template=template,
                launch_template_overrides=[
                    autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(each))
                    for each in self._gpu.instance_types
                ],
                instances_distribution=autoscaling.InstancesDistribution(
                    on_demand_base_capacity=0,
                    on_demand_percentage_above_base_capacity=100 - self._gpu.spot_percent,
                    spot_allocation_strategy=(
                        autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED
                    ),
                ),
            ),
            min_capacity=0,
            # A deployment runs new tasks before it stops the old ones.
            max_capacity=2 * max_tasks * self._gpu.nodes_per_model,
            new_instances_protected_from_scale_in=True,
            group_metrics=[autoscaling.GroupMetrics.all()],
        )
        Tags.of(group).add("Name", self._name)
        return group

    def _acknowledge(self, group: autoscaling.AutoScalingGroup) -> None:
        reasons = {
            "AS3": "Instances come and go with every wave of requests; alarms tell what is wrong.",
            "EC26": "The rule reads no launch template; the template's only disk is encrypted.",
        }
        for rule, reason in reasons.items():
            acknowledge(group, f"AwsSolutions-{rule}", reason)


def _user_data(stop_timeout_s: int) -> ec2.UserData:
    """Return the ECS agent's configuration; CDK's `Cluster` adds the cluster's name."""
    data = ec2.UserData.for_linux()
    settings = {
        "ECS_ENABLE_GPU_SUPPORT": "true",
        "ECS_ENABLE_SPOT_INSTANCE_DRAINING": "true",
        "ECS_CONTAINER_STOP_TIMEOUT": f"{stop_timeout_s}s",
        # A task's own network interface would reach the metadata service within one hop.
        "ECS_AWSVPC_BLOCK_IMDS": "true",
        # The remains of a task, its copy of the model included, are removed soon after it.
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "10m",
        # Images are named by their digest, so a cached one is the right one.
        "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
    }
    data.add_commands(
        *(f"echo {name}={value} >> /etc/ecs/ecs.config" for name, value in settings.items())
    )
    return data
