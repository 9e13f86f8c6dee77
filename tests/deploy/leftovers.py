"""What a deployment left behind in the emulator."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.deploy.machine import Machine

BOOTSTRAP = ("cdk-", "CDKToolkit", "/cdk-bootstrap/", "alias/aws/")
"""What `cdk bootstrap` made, and what every account has."""

Find = Callable[[Any], Iterable[str]]


def _names(operation: str, list_of: str, name: str, **arguments: Any) -> Find:
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
                yield f"{stack['StackName']} ({stack['StackStatus']})"


def _keys(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            about = client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if about["KeyState"] != "PendingDeletion" and about["KeyManager"] == "CUSTOMER":
                yield f"{key['KeyId']} ({about['Description']})"


def _networks(client: Any) -> Iterator[str]:
    for vpc in client.describe_vpcs()["Vpcs"]:
        if not vpc["IsDefault"]:
            yield vpc["VpcId"]


def _queues(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_queues").paginate():
        yield from (url.rpartition("/")[2] for url in page.get("QueueUrls", ()))


FINDERS: dict[str, tuple[str, Find]] = {
    "stack": ("cloudformation", _stacks),
    "function": ("lambda", _names("list_functions", "Functions", "FunctionName")),
    "layer": ("lambda", _names("list_layers", "Layers", "LayerName")),
    "event source": ("lambda", _names("list_event_source_mappings", "EventSourceMappings", "UUID")),
    "queue": ("sqs", _queues),
    "API": ("apigatewayv2", _names("get_apis", "Items", "Name")),
    "log group": ("logs", _names("describe_log_groups", "logGroups", "logGroupName")),
    "bucket": ("s3", _names("list_buckets", "Buckets", "Name")),
    "key": ("kms", _keys),
    "key alias": ("kms", _names("list_aliases", "Aliases", "AliasName")),
    "secret": ("secretsmanager", _names("list_secrets", "SecretList", "Name")),
    "parameter": ("ssm", _names("describe_parameters", "Parameters", "Name")),
    "role": ("iam", _names("list_roles", "Roles", "RoleName")),
    "policy": ("iam", _names("list_policies", "Policies", "PolicyName", Scope="Local")),
    "cluster": ("ecs", _names("list_clusters", "clusterArns", "")),
    "task definition": (
        "ecs",
        _names("list_task_definitions", "taskDefinitionArns", "", status="ACTIVE"),
    ),
    "cache": (
        "elasticache",
        _names("describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
    ),
    "cache user": ("elasticache", _names("describe_users", "Users", "UserId")),
    "database": ("rds", _names("describe_db_instances", "DBInstances", "DBInstanceIdentifier")),
    "database snapshot": (
        "rds",
        _names("describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
    ),
    "topic": ("sns", _names("list_topics", "Topics", "TopicArn")),
    "alarm": ("cloudwatch", _names("describe_alarms", "MetricAlarms", "AlarmName")),
    "load balancer": (
        "elbv2",
        _names("describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    ),
    "target group": ("elbv2", _names("describe_target_groups", "TargetGroups", "TargetGroupName")),
    "network": ("ec2", _networks),
}


def holdings(machine: Machine) -> list[str]:
    """Return all that the account holds beyond what bootstrapping made."""
    found = []
    for kind, (service, find) in FINDERS.items():
        for name in find(machine.client(service)):
            if not name.startswith(BOOTSTRAP):
                found.append(f"{kind} {name}")
    return found
