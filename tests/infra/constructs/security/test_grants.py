"""A grant gives the permission and the address of each resource together."""

from typing import cast

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam

from axon import catalog
from axon.catalog import Resource
from infra.application import build
from infra.constructs.security.grants import Grants, grant
from infra.settings.environment import load
from infra.stacks.data import DataStack
from infra.stacks.foundation import Foundation
from infra.stacks.gateway import GatewayStack
from infra.stacks.messaging import MessagingStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform
from tests.infra.support.templates import listed

GIVEN = {
    Resource.VALKEY: (
        {"AXON_VALKEY_URL", "AXON_VALKEY_IAM_USER", "AXON_VALKEY_IAM_CACHE"},
        {"elasticache:Connect"},
    ),
    Resource.POSTGRES: ({"AXON_POSTGRES_DSN", "AXON_POSTGRES_IAM"}, {"rds-db:connect"}),
    Resource.POSTGRES_OWNER: (
        {"AXON_POSTGRES_DSN", "AXON_POSTGRES_SECRET_ARN"},
        {"secretsmanager:GetSecretValue", "kms:Decrypt"},
    ),
    Resource.SEND_JOBS: (
        {"AXON_JOBS_QUEUE_URL"},
        {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"},
    ),
    Resource.RECEIVE_JOBS: (
        {"AXON_JOBS_QUEUE_URL"},
        {
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "kms:Decrypt",
        },
    ),
    Resource.PARK_JOBS: (
        {"AXON_PARKED_QUEUE_URL"},
        {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"},
    ),
    Resource.PARK_HISTORY: (
        {"AXON_DEAD_LETTER_QUEUE_URL"},
        {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"},
    ),
    Resource.SEND_HISTORY: (
        {"AXON_HISTORY_QUEUE_URL"},
        {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"},
    ),
    Resource.START_WORKERS: (
        {"AXON_WORKERS_CLUSTER", "AXON_WORKERS_SERVICE"},
        {"ecs:DescribeServices", "ecs:UpdateService"},
    ),
    Resource.PUT_PAYLOADS: ({"AXON_PAYLOAD_BUCKET"}, {"s3:PutObject", "kms:GenerateDataKey"}),
    Resource.GET_PAYLOADS: (
        {"AXON_PAYLOAD_BUCKET"},
        {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"},
    ),
    Resource.DELETE_PAYLOADS: ({"AXON_PAYLOAD_BUCKET"}, {"s3:DeleteObject"}),
    Resource.UPLOADS: (
        {"AXON_PAYLOAD_BUCKET"},
        {"s3:GetObject", "s3:PutObject", "s3:ListBucket", "kms:Decrypt", "kms:GenerateDataKey"},
    ),
    Resource.CONNECTIONS: ({"AXON_CONNECTIONS_ENDPOINT"}, {"execute-api:ManageConnections"}),
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    app = App(
        outdir=str(tmp_path_factory.mktemp("access")), context={"aws:cdk:bundling-stacks": []}
    )
    return build(app, load("dev"))


def grants(stacks: dict[str, Stack], *, gateway: bool) -> Grants:
    """Return what the environment's stacks grant, with or without the gateway's part."""
    foundation = Foundation(
        settings=load("dev"),
        network=cast("NetworkStack", stacks["network"]),
        observability=cast("ObservabilityStack", stacks["observability"]),
    )
    platform = Platform.on(
        foundation,
        data=cast("DataStack", stacks["data"]),
        messaging=cast("MessagingStack", stacks["messaging"]),
    )
    if not gateway:
        return platform.grants
    connections = cast("GatewayStack", stacks["gateway"]).connections
    return {**platform.grants, Resource.CONNECTIONS: connections}


def give(
    stacks: dict[str, Stack], *resources: Resource, gateway: bool = True
) -> tuple[dict[str, str], set[str]]:
    """Grant `resources` to a new role; return the variables and the actions that it got."""
    scope = stacks["messaging"]
    role = iam.Role(
        scope,
        f"Test{len(scope.node.children)}",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
    )
    variables = grant(role, frozenset(resources), grants=grants(stacks, gateway=gateway))
    policy = cast("iam.Policy", role.node.find_child("DefaultPolicy"))
    document = scope.resolve(policy.document)
    return variables, {
        action for statement in document["Statement"] for action in listed(statement["Action"])
    }


@pytest.mark.parametrize("resource", Resource)
def test_grant_gives_permission_and_address_together(
    stacks: dict[str, Stack], resource: Resource
) -> None:
    variables, actions = give(stacks, resource)
    assert (set(variables), actions) == GIVEN[resource]
    assert all(variables.values())


@pytest.mark.parametrize("uses", [catalog.RELAY, catalog.WORKER], ids=["relay", "worker"])
def test_grant_gives_a_service_all_of_its_resources(
    stacks: dict[str, Stack], uses: frozenset[Resource]
) -> None:
    variables, actions = give(stacks, *uses)
    assert set(variables) == set[str]().union(*(GIVEN[resource][0] for resource in uses))
    assert actions == set[str]().union(*(GIVEN[resource][1] for resource in uses))


def test_grant_refuses_a_resource_that_no_stack_provides(stacks: dict[str, Stack]) -> None:
    with pytest.raises(ValueError, match=r"nothing grants Resource\.CONNECTIONS"):
        give(stacks, Resource.CONNECTIONS, gateway=False)
