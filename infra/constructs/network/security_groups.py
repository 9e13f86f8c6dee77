"""Every security group and rule of an environment: who may open a connection to whom."""

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

HTTP = ec2.Port.HTTP
HTTPS = ec2.Port.HTTPS
RELAY = ec2.Port.tcp(8080)
VALKEY = ec2.Port.tcp(6379)
POSTGRES = ec2.Port.POSTGRES


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityGroups:
    """A group for each kind of resource; `postgres_proxy` only where there is a proxy."""

    functions: ec2.SecurityGroup
    load_balancer: ec2.SecurityGroup
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

    groups = SecurityGroups(
        functions=group("functions", "Lambda functions"),
        load_balancer=group("load-balancer", "load balancer of the relays"),
        relay=group("relay", "relay tasks"),
        worker=group("worker", "inference workers"),
        valkey=group("valkey", "Valkey"),
        postgres=group("postgres", "PostgreSQL"),
        postgres_proxy=group("postgres-proxy", "proxy before PostgreSQL")
        if settings.postgres.proxy
        else None,
    )
    _open_to_clients(groups, settings)
    _open_to_aws(groups)
    _open_data(groups)
    if (
        settings.inference.capacity.kind == "gpu"
        and settings.inference.capacity.nodes_per_model > 1
    ):
        _open_between_workers(groups)
    return groups


def _open_to_clients(groups: SecurityGroups, settings: EnvironmentSettings) -> None:
    internet = ec2.Peer.any_ipv4()
    balancer = groups.load_balancer
    # Without a certificate the API is served on port 80; with one, that port only redirects.
    balancer.add_ingress_rule(internet, HTTP, "clients")
    if settings.relay.certificate_arn is not None:
        balancer.add_ingress_rule(internet, HTTPS, "clients")
    for rule in ("AwsSolutions-EC23", "CKV_AWS_260"):
        acknowledge(
            balancer,
            rule,
            "The load balancer is the public HTTP API; nothing else has a rule for the internet.",
        )
    _allow(balancer, groups.relay, RELAY, "HTTP API")


def _open_to_aws(groups: SecurityGroups) -> None:
    """Allow HTTPS to SQS, the gateway's @connections and the other AWS APIs, through NAT."""
    for caller in (groups.functions, groups.relay, groups.worker):
        caller.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS APIs")


def _open_data(groups: SecurityGroups) -> None:
    for caller in (groups.functions, groups.relay, groups.worker):
        _allow(caller, groups.valkey, VALKEY, "Valkey")
    # Migrations log in as the owner, with a password; the proxy accepts IAM logins only.
    _allow(groups.functions, groups.postgres, POSTGRES, "PostgreSQL")
    if groups.postgres_proxy is None:
        _allow(groups.worker, groups.postgres, POSTGRES, "PostgreSQL")
        return
    for caller in (groups.functions, groups.worker):
        _allow(caller, groups.postgres_proxy, POSTGRES, "PostgreSQL by the proxy")
    _allow(groups.postgres_proxy, groups.postgres, POSTGRES, "PostgreSQL")


def _open_between_workers(groups: SecurityGroups) -> None:
    """Allow all traffic within the group, which EFA requires (AWS, EFA security groups)."""
    _allow(groups.worker, groups.worker, ec2.Port.all_traffic(), "nodes of one model")


def _allow(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: ec2.Port, what: str) -> None:
    source.add_egress_rule(target, port, what)
    target.add_ingress_rule(source, port, what)
