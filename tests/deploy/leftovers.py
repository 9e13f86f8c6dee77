"""The resources of an account, to detect those that a deployment leaves behind."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.machine import Machine

BOOTSTRAP = ("cdk-", "CDKToolkit", "/cdk-bootstrap/", "alias/aws/")
"""Prefixes of names that `cdk bootstrap` made or that every account has."""

Find = Callable[[Any], Iterable[str]]
Holdings = dict[str, frozenset[str]]
"""Names by kind."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Resources of one kind.

    Attributes
    ----------
    deployed : bool
        Whether the stacks have some of it; what they have none of may still be left over.
    """

    service: str
    find: Find
    deployed: bool = True


def _names(operation: str, list_of: str, name: str = "", **arguments: Any) -> Find:
    def find(client: Any) -> Iterator[str]:
        for page in _pages(client, operation, arguments):
            for each in page.get(list_of) or ():
                yield each if isinstance(each, str) else each[name]

    return find


def _pages(client: Any, operation: str, arguments: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if client.can_paginate(operation):
        pages: Iterable[dict[str, Any]] = client.get_paginator(operation).paginate(**arguments)
        return pages
    return [getattr(client, operation)(**arguments)]


def _stacks(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_stacks").paginate():
        for stack in page["StackSummaries"]:
            if stack["StackStatus"] != "DELETE_COMPLETE":
                yield stack["StackName"]


def _keys(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            about = client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if about["KeyState"] != "PendingDeletion" and about["KeyManager"] == "CUSTOMER":
                yield f"{key['KeyId']} ({about['Description']})"


def _services(client: Any) -> Iterator[str]:
    for cluster in client.list_clusters()["clusterArns"]:
        yield from client.list_services(cluster=cluster)["serviceArns"]


def _function_urls(client: Any) -> Iterator[str]:
    for name in _names("list_functions", "Functions", "FunctionName")(client):
        for url in client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]:
            yield url["FunctionUrl"]


KINDS: dict[str, Kind] = {
    "stack": Kind("cloudformation", _stacks),
    "function": Kind("lambda", _names("list_functions", "Functions", "FunctionName")),
    "function URL": Kind("lambda", _function_urls),
    "layer": Kind("lambda", _names("list_layers", "Layers", "LayerName")),
    "event source": Kind(
        "lambda", _names("list_event_source_mappings", "EventSourceMappings", "UUID")
    ),
    "queue": Kind("sqs", _names("list_queues", "QueueUrls")),
    "API": Kind("apigatewayv2", _names("get_apis", "Items", "Name")),
    "log group": Kind("logs", _names("describe_log_groups", "logGroups", "logGroupName")),
    "metric filter": Kind("logs", _names("describe_metric_filters", "metricFilters", "filterName")),
    "bucket": Kind("s3", _names("list_buckets", "Buckets", "Name")),
    "key": Kind("kms", _keys),
    "key alias": Kind("kms", _names("list_aliases", "Aliases", "AliasName")),
    "secret": Kind("secretsmanager", _names("list_secrets", "SecretList", "Name")),
    "parameter": Kind("ssm", _names("describe_parameters", "Parameters", "Name"), deployed=False),
    "role": Kind("iam", _names("list_roles", "Roles", "RoleName")),
    "policy": Kind(
        "iam", _names("list_policies", "Policies", "PolicyName", Scope="Local"), deployed=False
    ),
    "cluster": Kind("ecs", _names("list_clusters", "clusterArns")),
    "service": Kind("ecs", _services),
    "task definition": Kind(
        "ecs", _names("list_task_definitions", "taskDefinitionArns", status="ACTIVE")
    ),
    "cache": Kind(
        "elasticache",
        _names("describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
    ),
    "cache user": Kind("elasticache", _names("describe_users", "Users", "UserId")),
    "cache user group": Kind(
        "elasticache", _names("describe_user_groups", "UserGroups", "UserGroupId")
    ),
    "cache subnet group": Kind(
        "elasticache",
        _names("describe_cache_subnet_groups", "CacheSubnetGroups", "CacheSubnetGroupName"),
    ),
    "database": Kind("rds", _names("describe_db_instances", "DBInstances", "DBInstanceIdentifier")),
    "database subnet group": Kind(
        "rds", _names("describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName")
    ),
    "database snapshot": Kind(
        "rds",
        _names("describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
        deployed=False,
    ),
    "table": Kind("dynamodb", _names("list_tables", "TableNames"), deployed=False),
    "repository": Kind(
        "ecr", _names("describe_repositories", "repositories", "repositoryName"), deployed=False
    ),
    "topic": Kind("sns", _names("list_topics", "Topics", "TopicArn")),
    "alarm": Kind("cloudwatch", _names("describe_alarms", "MetricAlarms", "AlarmName")),
    "load balancer": Kind(
        "elbv2",
        _names("describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
        deployed=False,
    ),
    "target group": Kind(
        "elbv2",
        _names("describe_target_groups", "TargetGroups", "TargetGroupName"),
        deployed=False,
    ),
    "network": Kind("ec2", _names("describe_vpcs", "Vpcs", "VpcId")),
    "subnet": Kind("ec2", _names("describe_subnets", "Subnets", "SubnetId")),
    "route table": Kind("ec2", _names("describe_route_tables", "RouteTables", "RouteTableId")),
    "security group": Kind("ec2", _names("describe_security_groups", "SecurityGroups", "GroupId")),
    "internet gateway": Kind(
        "ec2", _names("describe_internet_gateways", "InternetGateways", "InternetGatewayId")
    ),
    "endpoint": Kind("ec2", _names("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId")),
}


def holdings(machine: Machine) -> Holdings:
    """Return all that the account holds beyond what bootstrapping made."""
    return {
        what: frozenset(
            name.rpartition("/")[2] if what == "queue" else name
            for name in kind.find(machine.client(kind.service))
            if not name.startswith(BOOTSTRAP)
        )
        for what, kind in KINDS.items()
    }


def unseen(before: Holdings, deployed: Holdings) -> list[str]:
    """Return the kinds of which a deployment should have made some, and none was seen."""
    return [
        what for what, kind in KINDS.items() if kind.deployed and deployed[what] <= before[what]
    ]


def left(before: Holdings, after: Holdings) -> list[str]:
    """Return the resources that exist after a deployment and did not before."""
    return [f"{what} {name}" for what in KINDS for name in sorted(after[what] - before[what])]
