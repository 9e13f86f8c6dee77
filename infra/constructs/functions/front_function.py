"""The front as a Lambda function: its own runtime, behind a function URL that streams (ADR 36)."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from axon.catalog import FRONT_FUNCTION
from infra.constructs.functions.catalog_function import CatalogFunction
from infra.constructs.functions.layers import Layers
from infra.constructs.observability.alarms import Alarms
from infra.constructs.security.findings import acknowledge
from infra.constructs.security.grants import Grants
from infra.settings.environment import EnvironmentSettings, FunctionFront

FOLDER = "front_container"
RUNTIME = "run_function"
"""The script of `FOLDER` that Lambda runs in place of its Python runtime, which cannot stream."""
BODY_MEMORY_BYTES = 128 * 2**20
"""Memory for decoded bodies: with `RESTING_BYTES`, less than the function's memory (ADR 36)."""
RESTING_BYTES = 96 * 2**20
"""Memory of the function's process after a small request, as measured; large ones leave more."""


class FrontFunction(Construct):
    """The function and its URL.

    Attributes
    ----------
    url
        Ends with a slash.
    log_group
        The function's log group.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        front: FunctionFront,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        grants: Grants,
    ) -> None:
        super().__init__(scope, id)
        name = f"axon-{settings.name}-front"
        self._made = CatalogFunction(
            self,
            "Function",
            name="front",
            definition=FRONT_FUNCTION,
            folder=FOLDER,
            settings=settings,
            vpc=vpc,
            security_group=security_group,
            grants=grants,
            layers=Layers(self, "Layers", settings=settings, name=name, extras=["service"]),
            variables={
                **settings.inference.submission_variables,
                **front.variables,
                "AWS_LAMBDA_EXEC_WRAPPER": f"/var/task/{RUNTIME}",
                # As the alarm on failures reads it.
                "AXON_LOG_FORMAT": "json",
                # It answers one request at a time, and has a connection only during transactions.
                "AXON_DATABASE_CONNECTIONS": "1",
                "AXON_BODY_MEMORY_BYTES": str(BODY_MEMORY_BYTES),
            },
            reserved_concurrency=front.reserved_concurrency,
        )
        self.log_group = self._made.log_group
        url = self._made.function.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.NONE,
            invoke_mode=lambda_.InvokeMode.RESPONSE_STREAM,
        )
        acknowledge(url, "CKV_AWS_258", "The front checks API keys; SDKs cannot sign with IAM.")
        self.url = url.url

    def watch(self, alarms: Alarms) -> None:
        """Add alarms. None on the duration: a long answer is no failure."""
        self._made.watch_failures(alarms)
