"""Every security group and rule of an environment: who may open a connection to whom."""

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.constructs.security.findings import acknowledge
from infra.settings.environment import BalancedFront, EnvironmentSettings

HTTPS = ec2.Port.HTTPS
FRONT = ec2.Port.tcp(8080)
VALKEY = ec2.Port.tcp(6379)
POSTGRES = ec2.Port.POSTGRES


@dataclass(frozen=True, kw_only=True, slots=True)
class BalancedGroups:
    """The groups of the fronts' balancer and of their tasks."""

    balancer: ec2.SecurityGroup
    front: ec2.SecurityGroup


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityGroups:
    """A group for each kind of resource.

    `postgres_proxy` only where there is a proxy, `balanced` where the front is behind a balancer:
    as a function it is in `functions`.
    """

    functions: ec2.SecurityGroup
    balanced: BalancedGroups | None
    relay: ec2.SecurityGroup
    worker: ec2.SecurityGroup
    valkey: ec2.SecurityGroup
    postgres: ec2.SecurityGroup
    postgres_proxy: ec2.SecurityGroup | None


def create(scope: Construct, *, settings: EnvironmentSettings, vpc: ec2.Vpc) -> SecurityGroups:
    """Create the groups and their rules. Stacks only attach the groups; they add no rule."""

    def group(name: str, of: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            scope,
            f"{name.title().replace('-', '')}Group",
            vpc=vpc,
            security_group_name=f"axon-{settings.name}-{name}",
            description=f"Axon {settings.name}: {of}",
            allow_all_outbound=False,
        )

    balanced = None
    if isinstance(settings.front, BalancedFront):
        balanced = BalancedGroups(
            balancer=group("front-balancer", "load balancer of the fronts"),
            front=group("front", "front tasks"),
        )
    groups = SecurityGroups(
        functions=group("functions", "Lambda functions"),
        balanced=balanced,
        relay=group("relay", "relay tasks"),
        worker=group("worker", "inference workers"),
        valkey=group("valkey", "Valkey"),
        postgres=group("postgres", "PostgreSQL"),
        postgres_proxy=group("postgres-proxy", "proxy before PostgreSQL")
        if settings.postgres.proxy
        else None,
    )
    if balanced is not None:
        _open_to_clients(balanced)
    _open_to_aws(groups)
    _open_data(groups)
    if (
        settings.inference.capacity.kind == "gpu"
        and settings.inference.capacity.nodes_per_model > 1
    ):
        _open_between_workers(groups)
    return groups


def _open_to_clients(groups: BalancedGroups) -> None:
    groups.balancer.add_ingress_rule(ec2.Peer.any_ipv4(), HTTPS, "clients")
    acknowledge(
        groups.balancer,
        "AwsSolutions-EC23",
        "The load balancer is the public HTTP API; nothing else has a rule for the internet.",
    )
    # Nobody else: the fronts believe what it says of a client's address.
    _allow(groups.balancer, groups.front, FRONT, "HTTP API")


def _open_to_aws(groups: SecurityGroups) -> None:
    """Allow HTTPS to SQS, the gateway's @connections and the other AWS APIs, through NAT."""
    for caller in (*_askers(groups), groups.relay):
        caller.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS APIs")


def _askers(groups: SecurityGroups) -> list[ec2.SecurityGroup]:
    """Return the groups of what asks the database; the relays do not."""
    fronts = [groups.balanced.front] if groups.balanced else []
    return [groups.functions, groups.worker, *fronts]


def _open_data(groups: SecurityGroups) -> None:
    for caller in (*_askers(groups), groups.relay):
        _allow(caller, groups.valkey, VALKEY, "Valkey")
    if groups.postgres_proxy is None:
        for caller in _askers(groups):
            _allow(caller, groups.postgres, POSTGRES, "PostgreSQL")
        return
    # Migrations log in as the owner, with a password; the proxy accepts IAM logins only.
    _allow(groups.functions, groups.postgres, POSTGRES, "PostgreSQL")
    for caller in _askers(groups):
        _allow(caller, groups.postgres_proxy, POSTGRES, "PostgreSQL by the proxy")
    _allow(groups.postgres_proxy, groups.postgres, POSTGRES, "PostgreSQL")


def _open_between_workers(groups: SecurityGroups) -> None:
    """Allow all traffic within the group, which EFA requires (AWS, EFA security groups)."""
    _allow(groups.worker, groups.worker, ec2.Port.all_traffic(), "nodes of one model")


def _allow(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: ec2.Port, what: str) -> None:
    source.add_egress_rule(target, port, what)
    target.add_ingress_rule(source, port, what)
