"""Permissions and addresses, given together: no process holds one without the other."""

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from axon.catalog import Resource
from infra.settings.environment import EnvironmentSettings

if TYPE_CHECKING:
    from infra.stacks.data import DataStack
    from infra.stacks.gateway import GatewayStack
    from infra.stacks.messaging import MessagingStack


def grant(
    grantee: iam.IGrantable,
    resources: frozenset[Resource],
    *,
    settings: EnvironmentSettings,
    data: "DataStack",
    messaging: "MessagingStack",
    gateway: "GatewayStack | None" = None,
) -> dict[str, str]:
    """Let a function or a task use resources; return the variables that tell it where they are.

    Parameters
    ----------
    grantee : iam.IGrantable
        The function, or the role of the task.
    resources : frozenset[Resource]
        What it uses, as the catalog says.
    gateway : GatewayStack | None
        Needed for `Resource.CONNECTIONS` only.
    """
    variables: dict[str, str] = {}
    for resource in sorted(resources, key=lambda each: each.value):
        match resource:
            case Resource.VALKEY:
                data.valkey.grant_connect(grantee)
                variables |= data.valkey.variables
            case Resource.POSTGRES:
                data.postgres.grant_connect(grantee)
                variables |= data.postgres.variables
            case Resource.POSTGRES_OWNER:
                data.postgres.grant_owner(grantee)
                variables |= data.postgres.owner_variables
            case Resource.WORKERS:
                variables |= _wake_workers(grantee, settings, data)
            case Resource.CONNECTIONS:
                variables["AXON_CONNECTIONS_ENDPOINT"] = _post(grantee, gateway)
            case _:
                variables |= _use_queue(grantee, resource, data=data, messaging=messaging)
    return variables


def _use_queue(
    grantee: iam.IGrantable, resource: Resource, *, data: "DataStack", messaging: "MessagingStack"
) -> dict[str, str]:
    match resource:
        case Resource.SEND_JOBS:
            return {"AXON_JOBS_QUEUE_URL": _send(grantee, messaging.jobs, data)}
        case Resource.RECEIVE_JOBS:
            return {"AXON_JOBS_QUEUE_URL": _receive(grantee, messaging.jobs, data)}
        case Resource.PARK_JOBS:
            return {"AXON_PARKED_QUEUE_URL": _send(grantee, messaging.jobs_letters, data)}
        case Resource.SEND_HISTORY:
            return {"AXON_HISTORY_QUEUE_URL": _send(grantee, messaging.history, data)}
        case _:
            raise ValueError(f"nothing grants {resource}")


def _send(grantee: iam.IGrantable, queue: sqs.Queue, data: "DataStack") -> str:
    queue.grant(grantee, "sqs:SendMessage")
    _use_key(grantee, data, "kms:Decrypt", "kms:GenerateDataKey")
    return queue.queue_url


def _receive(grantee: iam.IGrantable, queue: sqs.Queue, data: "DataStack") -> str:
    queue.grant(grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
    _use_key(grantee, data, "kms:Decrypt")
    return queue.queue_url


def _use_key(grantee: iam.IGrantable, data: "DataStack", *actions: str) -> None:
    """Allow what SQS does with the key for its caller; the key has other uses, which stay shut."""
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=list(actions),
        resource_arns=[data.key.key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": f"sqs.{data.region}.{data.url_suffix}"},
        },
    )


def _wake_workers(
    grantee: iam.IGrantable, settings: EnvironmentSettings, data: "DataStack"
) -> dict[str, str]:
    """Name the service rather than refer to it: its stack is deployed after its callers."""
    cluster, service = f"axon-{settings.name}-inference", f"axon-{settings.name}-worker"
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["ecs:DescribeServices", "ecs:UpdateService"],
        resource_arns=[
            data.format_arn(service="ecs", resource="service", resource_name=f"{cluster}/{service}")
        ],
    )
    return {"AXON_WORKERS_CLUSTER": cluster, "AXON_WORKERS_SERVICE": service}


def _post(grantee: iam.IGrantable, gateway: "GatewayStack | None") -> str:
    if gateway is None:
        raise ValueError("Resource.CONNECTIONS needs the gateway")
    gateway.grant_manage_connections(grantee)
    return gateway.connections_endpoint
