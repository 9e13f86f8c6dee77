"""The stack of the network: the VPC, its NAT, its flow logs, and the security groups."""

from aws_cdk import Fn
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.constructs.network import security_groups
from infra.constructs.observability.log_groups import log_group
from infra.settings.environment import EnvironmentSettings
from infra.stacks.base import EnvironmentStack


class NetworkStack(EnvironmentStack):
    """The VPC and the rules of who may open a connection to whom.

    Attributes
    ----------
    vpc
        Has the subnet groups "public", "private" (with NAT to the internet) and "isolated".
    groups
        The security groups, with all of their rules.
    """

    def __init__(self, scope: Construct, id: str, *, settings: EnvironmentSettings) -> None:
        super().__init__(scope, id, settings=settings)
        self.vpc = self._vpc(settings)
        self.groups = security_groups.create(self, settings=settings, vpc=self.vpc)

    def _vpc(self, settings: EnvironmentSettings) -> ec2.Vpc:
        network = settings.network
        return ec2.Vpc(
            self,
            "Vpc",
            vpc_name=f"axon-{settings.name}",
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            # Resolved at deployment: the template must not depend on a look-up in an account.
            availability_zones=[Fn.select(zone, Fn.get_azs()) for zone in range(network.zones)],
            nat_gateways=network.nat_gateways,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(
                    name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS
                ),
                ec2.SubnetConfiguration(
                    name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED
                ),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)
            },
            flow_logs={"All": self._flow_logs(settings)},
        )

    def _flow_logs(self, settings: EnvironmentSettings) -> ec2.FlowLogOptions:
        group = log_group(self, "FlowLogs", settings=settings, name="network/flows")
        return ec2.FlowLogOptions(
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )
