"""The VPC, and who may open a connection to whom: exactly the table, nothing else."""

from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Match, Template

from infra.settings.environment import EnvironmentSettings
from infra.stacks.network import NetworkStack
from tests.infra.conftest import Templates
from tests.infra.support.templates import listed, resources, text

Rule = tuple[str, str, str]
"""Source, target and port of a connection."""

AWS_APIS: set[Rule] = {
    ("functions", "0.0.0.0/0", "tcp 443"),
    ("relay", "0.0.0.0/0", "tcp 443"),
    ("worker", "0.0.0.0/0", "tcp 443"),
}
COMMON: set[Rule] = AWS_APIS | {
    ("functions", "valkey", "tcp 6379"),
    ("relay", "valkey", "tcp 6379"),
    ("worker", "valkey", "tcp 6379"),
    ("functions", "postgres", "tcp 5432"),
}
DIRECT = COMMON | {("worker", "postgres", "tcp 5432")}
BY_PROXY = COMMON | {
    ("functions", "postgres-proxy", "tcp 5432"),
    ("worker", "postgres-proxy", "tcp 5432"),
    ("postgres-proxy", "postgres", "tcp 5432"),
}
CLIENTS: Rule = ("0.0.0.0/0", "front-balancer", "tcp 443")
BALANCED: set[Rule] = {
    CLIENTS,
    ("front-balancer", "front", "tcp 8080"),
    ("front", "0.0.0.0/0", "tcp 443"),
    ("front", "valkey", "tcp 6379"),
}
"""The connections that a balanced front adds; a function has those of the others."""
FRONT = {"home": "balancer", "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1"}
# CDK's way to say that a group has no egress at all.
NOWHERE = "255.255.255.255/32"


def build(**sections: Any) -> Template:
    settings = EnvironmentSettings.model_validate({"name": "mine", **sections})
    stack = NetworkStack(App(), "network", settings=settings)
    return Template.from_stack(stack)


def rules(template: Template, direction: str) -> set[Rule]:
    """Return the rules of a direction; both ends of a connection between groups must have one."""
    groups = resources(template, "AWS::EC2::SecurityGroup")
    environment = groups[next(iter(groups))]["GroupName"].split("-")[1]
    names = {
        f"{{{name}.GroupId}}": group["GroupName"].removeprefix(f"axon-{environment}-")
        for name, group in groups.items()
    }
    other = "SourceSecurityGroupId" if direction == "Ingress" else "DestinationSecurityGroupId"
    found: list[tuple[str, dict[str, Any]]] = [
        (names[f"{{{name}.GroupId}}"], rule)
        for name, group in groups.items()
        for rule in group.get(f"SecurityGroup{direction}", [])
    ]
    found += [
        (names[text(rule["GroupId"])], rule)
        for rule in resources(template, f"AWS::EC2::SecurityGroup{direction}").values()
    ]
    result = set()
    for group, rule in found:
        peer = names[text(rule[other])] if other in rule else text(rule["CidrIp"])
        if peer == NOWHERE:
            continue
        ports = {rule.get("FromPort"), rule.get("ToPort")}
        port = " ".join([rule["IpProtocol"], *map(str, ports - {None})])
        result.add((peer, group, port) if direction == "Ingress" else (group, peer, port))
    return result


def between_groups(found: set[Rule]) -> set[Rule]:
    return {rule for rule in found if "0.0.0.0/0" not in rule}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, DIRECT),
        ({"postgres": {"proxy": True}}, BY_PROXY),
        ({"front": FRONT}, DIRECT | BALANCED | {("front", "postgres", "tcp 5432")}),
        (
            {"front": FRONT, "postgres": {"proxy": True}},
            BY_PROXY | BALANCED | {("front", "postgres-proxy", "tcp 5432")},
        ),
        (
            {
                "inference": {
                    "engine": "vllm",
                    "model_uri": "models://m",
                    "capacity": {
                        "kind": "gpu",
                        "instance_types": ["p5.48xlarge"],
                        "gpus_per_instance": 8,
                        "nodes_per_model": 2,
                    },
                }
            },
            DIRECT | {("worker", "worker", "-1")},
        ),
    ],
    ids=["direct", "proxy", "balanced", "balanced and proxy", "many nodes"],
)
def test_network_rules_allow_exactly_these_connections(
    sections: dict[str, Any], expected: set[Rule]
) -> None:
    template = build(**sections)
    ingress, egress = rules(template, "Ingress"), rules(template, "Egress")
    assert ingress | egress == expected
    assert between_groups(ingress) == between_groups(egress)


def test_network_rules_of_dev_and_prod_are_those_of_their_homes(
    dev: Templates, prod: Templates
) -> None:
    balanced = BY_PROXY | BALANCED | {("front", "postgres-proxy", "tcp 5432")}
    assert rules(dev["network"], "Egress") == DIRECT
    assert rules(prod["network"], "Egress") == balanced - {CLIENTS}
    assert rules(dev["network"], "Ingress") == between_groups(DIRECT)
    assert rules(prod["network"], "Ingress") == between_groups(balanced) | {CLIENTS}


def test_network_gives_data_stores_no_egress(dev: Templates) -> None:
    for group in resources(dev["network"], "AWS::EC2::SecurityGroup").values():
        if group["GroupName"] in ("axon-dev-valkey", "axon-dev-postgres"):
            assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == [NOWHERE]


@pytest.mark.parametrize(("name", "zones", "gateways"), [("dev", 2, 1), ("prod", 3, 3)])
def test_network_has_a_subnet_of_each_kind_in_every_zone(
    name: str, zones: int, gateways: int, request: pytest.FixtureRequest
) -> None:
    template: Template = request.getfixturevalue(name)["network"]
    subnets = list(resources(template, "AWS::EC2::Subnet").values())
    kinds = [_tag(subnet, "aws-cdk:subnet-name") for subnet in subnets]
    assert sorted(kinds) == sorted(["public", "private", "isolated"] * zones)
    for kind in ("public", "private", "isolated"):
        # Which zones an account has is known at deployment only.
        assert {
            subnet["AvailabilityZone"]["Fn::Select"][0]
            for subnet in subnets
            if _tag(subnet, "aws-cdk:subnet-name") == kind
        } == set(range(zones))
    template.resource_count_is("AWS::EC2::NatGateway", gateways)


def test_network_assigns_no_public_addresses(dev: Templates) -> None:
    for subnet in resources(dev["network"], "AWS::EC2::Subnet").values():
        assert subnet["MapPublicIpOnLaunch"] is False


def test_network_isolated_subnets_have_no_route_out(dev: Templates) -> None:
    routes = resources(dev["network"], "AWS::EC2::Route").values()
    tables = {text(route["RouteTableId"]) for route in routes}
    assert len(tables) == 4
    assert not any("isolated" in table for table in tables)


def test_network_reaches_s3_without_nat(dev: Templates) -> None:
    (endpoint,) = resources(dev["network"], "AWS::EC2::VPCEndpoint").values()
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert text(endpoint["ServiceName"]).endswith(".s3")
    tables = {text(table) for table in listed(endpoint["RouteTableIds"])}
    assert sum("private" in table for table in tables) == 2
    # With credentials of this account alone, and for the layers of images in ECR's own bucket.
    own, layers = endpoint["PolicyDocument"]["Statement"]
    assert own["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
    assert layers["Action"] == "s3:GetObject"
    assert text(layers["Resource"]).endswith("-starport-layer-bucket/*")


def test_network_logs_all_traffic_with_the_retention_of_the_environment(prod: Templates) -> None:
    prod["network"].has_resource_properties(
        "AWS::EC2::FlowLog",
        {
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": Match.any_value(),
        },
    )
    prod["network"].has_resource_properties(
        "AWS::Logs::LogGroup",
        {"LogGroupName": "/axon/prod/network/flows", "RetentionInDays": 90},
    )


def test_network_address_range_is_that_of_the_settings() -> None:
    build(network={"cidr": "172.20.0.0/18"}).has_resource_properties(
        "AWS::EC2::VPC", {"CidrBlock": "172.20.0.0/18"}
    )


def _tag(properties: dict[str, Any], key: str) -> str:
    return next(str(tag["Value"]) for tag in properties["Tags"] if tag["Key"] == key)
