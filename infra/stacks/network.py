"""The stack of the network: the VPC, its NAT, its flow logs, and the security groups."""

from aws_cdk import Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
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
        self._reach_s3()
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
            flow_logs={"All": self._flow_logs(settings)},
        )

    def _reach_s3(self) -> None:
        """Route S3 past the NAT gateways, which charge for each GB, and to this account alone.

        Credentials of another account, with which data could leave, do not get through.
        """
        endpoint = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        endpoint.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["s3:*"],
                resources=["*"],
                conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
            )
        )
        # ECR sends who pulls an image to its own bucket, with its own signature.
        layers = f"arn:{Aws.PARTITION}:s3:::prod-{Aws.REGION}-starport-layer-bucket/*"
        endpoint.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()], actions=["s3:GetObject"], resources=[layers]
            )
        )

    def _flow_logs(self, settings: EnvironmentSettings) -> ec2.FlowLogOptions:
        group = log_group(self, "FlowLogs", settings=settings, name="network/flows")
        return ec2.FlowLogOptions(
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )
