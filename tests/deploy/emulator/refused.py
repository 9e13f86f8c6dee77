"""Resource types that ministack refuses, made as names only: nothing stands behind them.

Every type in the table is one that a green deployment proves nothing of beyond its template.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.deploy.emulator.ministack import provisioners
from tests.deploy.emulator.plan import ACCOUNT, REGION

Create = Callable[[str, Mapping[str, Any], str], tuple[str, dict[str, str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """The values of ``Ref`` and ``Fn::GetAtt``.

    Texts may hold ``{id}``, ``{region}``, ``{account}``, ``{ref}`` (in attributes) and any property
    that is a text; where it is left out, CloudFormation's own name is taken.
    """

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{{region}}:{{account}}:{resource}"


REFUSED: Mapping[str, Placeholder] = {
    "AWS::APS::RuleGroupsNamespace": Placeholder(
        ref=_arn("aps", "rulegroupsnamespace/ws-{id}/{Name}"), attributes={"Arn": "{ref}"}
    ),
    "AWS::APS::Workspace": Placeholder(
        ref=_arn("aps", "workspace/ws-{id}"),
        attributes={
            "Arn": "{ref}",
            "WorkspaceId": "ws-{id}",
            "PrometheusEndpoint": "https://aps-workspaces.{region}.amazonaws.com/workspaces/ws-{id}/",
        },
    ),
    # WebSocket integrations of ministack always carry their response back, with it or without.
    "AWS::ApiGatewayV2::RouteResponse": Placeholder(
        ref="{id}", attributes={"RouteResponseId": "{ref}"}
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Placeholder(
        ref="{ResourceId}|{ScalableDimension}|{ServiceNamespace}", attributes={"Id": "{ref}"}
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Placeholder(
        ref=_arn("autoscaling", "scalingPolicy:{id}"), attributes={"Arn": "{ref}"}
    ),
    "AWS::CloudWatch::CompositeAlarm": Placeholder(
        ref="{AlarmName}", attributes={"Arn": _arn("cloudwatch", "alarm:{ref}")}
    ),
    "AWS::EC2::EIP": Placeholder(
        ref="192.0.2.1", attributes={"AllocationId": "eipalloc-{id}", "PublicIp": "{ref}"}
    ),
    "AWS::EC2::FlowLog": Placeholder(ref="fl-{id}", attributes={"Id": "{ref}"}),
    "AWS::EC2::NatGateway": Placeholder(ref="nat-{id}", attributes={"NatGatewayId": "{ref}"}),
    "AWS::EC2::SecurityGroupEgress": Placeholder(ref="sgr-{id}", attributes={"Id": "{ref}"}),
    "AWS::EC2::SecurityGroupIngress": Placeholder(ref="sgr-{id}", attributes={"Id": "{ref}"}),
    "AWS::ECS::CapacityProvider": Placeholder(ref="{Name}"),
    "AWS::ECS::ClusterCapacityProviderAssociations": Placeholder(ref="{Cluster}"),
    "AWS::RDS::DBProxy": Placeholder(
        ref="{DBProxyName}",
        attributes={
            "DBProxyArn": _arn("rds", "db-proxy:prx-{id}"),
            "Endpoint": "{ref}.proxy-{id}.{region}.rds.amazonaws.com",
            "VpcId": "vpc-{id}",
        },
    ),
    "AWS::RDS::DBProxyTargetGroup": Placeholder(
        ref=_arn("rds", "target-group:prx-tg-{id}"), attributes={"TargetGroupArn": "{ref}"}
    ),
}


ALARM = "AWS::CloudWatch::Alarm"
"""Refused only where it watches an expression over several metrics."""

_EXPRESSION = Placeholder(ref="{AlarmName}", attributes={"Arn": _arn("cloudwatch", "alarm:{ref}")})


def register() -> None:
    """Make ministack accept the types; one that it makes itself by now is better left to it."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers[ALARM] |= {"create": partial(_create_alarm, handlers[ALARM]["create"])}
    for kind, placeholder in REFUSED.items():
        if kind in handlers:
            raise RuntimeError(f"ministack makes {kind} itself by now: take it from the table")
        # Without "update" it creates again, with the same result: ids are made from names.
        handlers[kind] = {"create": partial(_create, placeholder), "delete": _delete}


def _create(
    placeholder: Placeholder, logical_id: str, properties: Mapping[str, Any], stack: str
) -> tuple[str, dict[str, str]]:
    own = f"{stack}-{logical_id}"
    values = defaultdict(lambda: own, {"region": REGION, "account": ACCOUNT})
    values |= {name: value for name, value in properties.items() if isinstance(value, str)}
    values["id"] = hashlib.sha256(own.encode()).hexdigest()[:17]
    values["ref"] = placeholder.ref.format_map(values)
    attributes = placeholder.attributes.items()
    return values["ref"], {name: text.format_map(values) for name, text in attributes}


def _create_alarm(
    create: Create, logical_id: str, properties: Mapping[str, Any], stack: str
) -> tuple[str, dict[str, str]]:
    if "Metrics" in properties:
        return _create(_EXPRESSION, logical_id, properties, stack)
    return create(logical_id, properties, stack)


def _delete(_ref: str, _properties: Mapping[str, Any]) -> None:
    return
