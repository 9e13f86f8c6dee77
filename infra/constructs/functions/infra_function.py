"""Lambda functions of the infrastructure itself: a file of ``infra/handlers`` each, boto3 only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Duration, triggers
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions.custom_resources import TRIGGER, confine_provider_logs
from infra.constructs.functions.function_role import function_role
from infra.constructs.functions.layers import architecture, runtime
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

FOLDER = Path(__file__).parents[2] / "handlers"


def infra_function(
    scope: Construct,
    id: str,
    *,
    settings: EnvironmentSettings,
    name: str,
    environment: Mapping[str, str],
    timeout: Duration,
    vpc: ec2.IVpc | None = None,
    subnets: Sequence[ec2.ISubnet] = (),
    security_group: ec2.ISecurityGroup | None = None,
) -> lambda_.Function:
    """Create the function ``axon-{environment}-{name}`` from the file of its name."""
    logs = log_group(scope, f"{id}Logs", settings=settings, name=f"observability/{name}")
    full_name = f"axon-{settings.name}-{name}"
    module = name.replace("-", "_")
    if vpc is not None:
        role = function_role(scope, f"{id}Role", function_name=full_name, log_group=logs)
    else:
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        logs.grant_write(role)
    function = lambda_.Function(
        scope,
        id,
        function_name=full_name,
        code=lambda_.Code.from_asset(str(FOLDER), exclude=["*", f"!{module}.py"]),
        handler=f"{module}.handler",
        runtime=runtime(settings),
        architecture=architecture(settings),
        role=role,
        timeout=timeout,
        memory_size=256,
        environment=dict(environment),
        log_group=logs,
        logging_format=lambda_.LoggingFormat.JSON,
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnets=subnets) if vpc else None,
        security_groups=[security_group] if security_group else None,
    )
    acknowledge(
        function,
        "AwsSolutions-L1",
        "The environment chooses its Python, the same for all of its functions.",
    )
    return function


def run_on_change(
    scope: Construct,
    id: str,
    *,
    handler: lambda_.Function,
    settings: EnvironmentSettings,
    after: Construct,
) -> None:
    """Invoke `handler` after `after` exists, whenever `handler` is new or changed.

    A failure ends the deployment.
    """
    trigger = triggers.Trigger(
        scope, id, handler=handler, timeout=handler.timeout, execute_after=[after]
    )
    confine_provider_logs(
        trigger, settings=settings, provider=TRIGGER, logs="observability/trigger"
    )
