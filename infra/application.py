"""Composition root of the stacks: which exist, in which order, and what each is given."""

from aws_cdk import App, Stack, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.settings.environment import BalancedFront, EnvironmentSettings, FunctionFront
from infra.stacks.balanced_front import BalancedFrontStack
from infra.stacks.base import EnvironmentStack
from infra.stacks.data import DataStack
from infra.stacks.foundation import Foundation
from infra.stacks.function_front import FunctionFrontStack
from infra.stacks.gateway import GatewayStack
from infra.stacks.inference import InferenceStack
from infra.stacks.messaging import MessagingStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform
from infra.stacks.relay import RelayStack

# CDK's feature flags: without them the behaviour of its first versions stays.
FLAGS = {
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    # CloudFormation refuses to remove an export that another stack uses.
    "@aws-cdk/core:defaultCrossStackReferences": "strong",
}

# CloudFormation refuses the tags that CDK would add to these types.
UNTAGGED = ["AWS::RDS::DBProxyTargetGroup"]


def build(app: App, settings: EnvironmentSettings) -> dict[str, Stack]:
    """Add the environment's stacks to `app` and return them by their short names.

    cdk-nag checks them during synthesis: a finding fails it.
    """
    for flag, value in FLAGS.items():
        app.node.set_context(flag, value)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    for key, value in {**settings.tags, "axon:environment": settings.name}.items():
        Tags.of(app).add(key, value, exclude_resource_types=UNTAGGED)
    return _stacks(app, settings)


def _stacks(app: App, settings: EnvironmentSettings) -> dict[str, Stack]:
    def id_of(name: str) -> str:
        return f"axon-{settings.name}-{name}"

    network = NetworkStack(app, id_of("network"), settings=settings)
    observability = ObservabilityStack(
        app, id_of("observability"), settings=settings, network=network
    )
    foundation = Foundation(settings=settings, network=network, observability=observability)
    data = DataStack(app, id_of("data"), foundation=foundation)
    messaging = MessagingStack(app, id_of("messaging"), foundation=foundation, key=data.key)
    platform = Platform.on(foundation, data=data, messaging=messaging)
    gateway = GatewayStack(app, id_of("gateway"), platform=platform)
    relay = RelayStack(app, id_of("relay"), platform=platform, connections=gateway.connections)
    front = _front(app, id_of("front"), platform)
    inference = InferenceStack(app, id_of("inference"), platform=platform)
    # Fronts and workers log in as a database role that the gateway's migrations create. No
    # reference between the stacks says so, so CloudFormation would deploy them in any order.
    for stack in (front, inference):
        stack.add_stack_dependency(gateway)
    return {
        "network": network,
        "observability": observability,
        "data": data,
        "messaging": messaging,
        "gateway": gateway,
        "relay": relay,
        "front": front,
        "inference": inference,
    }


def _front(app: App, id: str, platform: Platform) -> EnvironmentStack:
    match platform.settings.front:
        case FunctionFront() as front:
            return FunctionFrontStack(app, id, platform=platform, front=front)
        case BalancedFront() as balanced:
            return BalancedFrontStack(app, id, platform=platform, front=balanced)
